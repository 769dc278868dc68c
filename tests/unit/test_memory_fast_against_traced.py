"""The fast estimate against the traced one: the same step, by sizes alone and by its allocations one by one.

The goal is 10 % of allocated bytes. What is compared more strictly is what comes and goes (activations and head), since
most of the rest is weights, which are easy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from engine.memory.fast import costs_of
from engine.memory.job import CHUNK, Parts, StepPlan
from engine.memory.recipe import recipe_of
from engine.memory.shape import shape_of
from engine.memory.trace_work import answer
from tests.unit.memory_configs import FAMILIES, REAL
from tests.unit.test_memory_recipe import CPU, H100, config_of

ALL, HALF, NONE = 1.0, 0.5, 0.0
SETTINGS: dict[str, dict[str, Any]] = {
    "fp32 adapter, autocast": {},
    "bf16 adapter": {"autocast": None, "trained": "bfloat16", "state": 4.0},
}


def differences(model: dict[str, Any], device: Any, depth: float, tokens: int = 2048, **changes: Any) -> Any:
    """(allocated, what comes and goes): fast / traced - 1 of LoRA on all linear layers."""
    shape = shape_of(model)
    recipe = recipe_of(config_of(bf16=True, lora_rank=16), {}, shape, device, fast_bf16=lambda: False)
    recipe = replace(recipe, **changes)
    # Two chunks at least: of a single one the fast estimate counts what logsumexp takes inside, which no trace sees.
    plan = StepPlan(tokens, round(depth * len(shape.layers)), min(CHUNK, tokens // 2))
    fast = costs_of(shape, recipe).parts(plan)
    request = {"config": model, "recipe": msgspec.to_builtins(recipe), "plan": msgspec.to_builtins(plan)}
    traced = Parts(**answer(request)["parts"])
    moving = (fast.activations + fast.head) / (traced.activations + traced.head) - 1
    return fast.allocated / traced.allocated - 1, moving


def near(found: tuple[float, float], whole: float = 0.02, moving: float = 0.05) -> None:
    """Both differences are within these."""
    assert abs(found[0]) <= whole, found
    assert abs(found[1]) <= moving, found


@pytest.mark.parametrize("depth", [NONE, ALL])
def test_smollm2_on_a_gpu(depth: float) -> None:
    near(differences(REAL["SmolLM2-135M"], H100, depth))


def test_gemma_on_a_processor_with_windows() -> None:
    near(differences(REAL["Gemma-3-1B"], CPU, HALF))


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("device", [H100, CPU], ids=["cuda", "cpu"])
@pytest.mark.parametrize("name", REAL)
def test_real_shapes(name: str, device: Any, setting: str) -> None:
    changes = dict(SETTINGS[setting])
    if device is CPU:
        changes = {"base": "bfloat16", "autocast": "bfloat16", **changes}
    for depth, tokens in ((NONE, 2048), (HALF, 512), (ALL, 4096)):
        near(differences(REAL[name], device, depth, tokens, **changes))


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_shapes_in_fp32_on_a_processor(name: str) -> None:
    for depth in (NONE, HALF, ALL):
        near(differences(REAL[name], CPU, depth))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"bits": 4, "double": True},
        {"bits": 8},
        {"dora": True},
        {"targets": ("q_proj", "v_proj")},
        {"autocast": None},
        {"base": "float32", "attention": "sdpa"},
        {"method": "full", "base": "float32", "targets": (), "attention": "sdpa", "update": 4.0},
        {"method": "freeze", "targets": (), "trained_layers": 2},
        {"saved": ("embed_tokens", "lm_head"), "attention": "sdpa"},
        {"packed": False, "micro_batch": 4, "attention": "sdpa"},
        {"packed": False, "micro_batch": 4, "attention": "eager"},
    ],
    ids=str,
)
def test_other_recipes(changes: dict[str, Any]) -> None:
    for name in ("SmolLM2-135M", "Qwen2.5-1.5B"):
        for depth in (NONE, ALL):
            near(differences(REAL[name], H100, depth, **changes), 0.03, 0.1)


@pytest.mark.slow
def test_dropout_on_a_processor() -> None:
    near(differences(REAL["SmolLM2-135M"], CPU, NONE, dropout=0.05))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["qwen3", "gemma", "gemma2", "phi3", "glm4", "cohere", "granite", "olmo2", "smollm3", "mixtral", "qwen3_moe"],
)
def test_other_families(name: str) -> None:
    # Of dense layers between those with experts peft would adapt the experts too: a rough estimate.
    config = {**FAMILIES[name], "torch_dtype": "bfloat16", "mlp_only_layers": []}
    for depth in (NONE, ALL):
        near(differences(config, H100, depth), 0.05, 0.1)
