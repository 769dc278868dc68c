"""The traced step against what torch.profiler counts in a real one."""

from __future__ import annotations

import pytest
import torch

from engine.memory.job import StepPlan
from engine.memory.trace_step import trace
from engine.memory.unroll import peak
from tests.unit.memory_recipes import ARCHITECTURES, TARGETS, config_of, recipe_of
from tests.unit.memory_truth import real_peak


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """What a kernel of the processor allocates for each thread is none of the step's."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


ROW = 512
PHI = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")


def traced_peak(config, recipe, plan) -> int:
    found = trace(config, recipe, plan)
    return sum(found.weights) + sum(found.trained) + max(peak(found.row).total, peak(found.update).total)


@pytest.mark.parametrize("trained", ["float32", "bfloat16"])
@pytest.mark.parametrize("recompute", [0, 2], ids=["keeping", "checkpointing"])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_peak_is_the_profilers(kind, recompute, trained):
    recipe = recipe_of(
        base="bfloat16",
        autocast="bfloat16" if trained == "float32" else None,
        trained=trained,
        state=8.0 if trained == "float32" else 4.0,
        targets=PHI if kind == "phi3" else TARGETS,
    )
    plan = StepPlan(ROW, recompute, 128)
    config = config_of(kind)
    real, traced = real_peak(config, recipe, plan), traced_peak(config, recipe, plan)
    assert traced == pytest.approx(real, rel=0.005)


DEEP = {"num_hidden_layers": 8}
SLIDING = {"layer_types": (["sliding_attention"] * 5 + ["full_attention"] + ["sliding_attention"] * 2)}
CASES = {
    "dropout": ("llama", {}, {"dropout": 0.1}, 0),
    "DoRA": ("llama", {}, {"dora": True}, 0),
    "padded": ("qwen2", {}, {"packed": False, "micro_batch": 2}, 0),
    "padded-checkpointing": ("qwen2", {}, {"packed": False, "micro_batch": 2}, 2),
    "padded-eager": ("llama", {}, {"packed": False, "micro_batch": 2, "attention": "eager"}, 0),
    "full": ("llama", {}, {"method": "full"}, 0),
    "full-tied": ("llama", {"tie_word_embeddings": True}, {"method": "full"}, 1),
    "frozen-but-the-last": ("llama", {}, {"method": "freeze", "trained_layers": 1}, 0),
    "embeddings-beside": ("llama", {}, {"saved": ("embed_tokens", "lm_head")}, 0),
    "deep": ("llama", DEEP, {}, 0),
    "deep-partly-recomputed": ("llama", DEEP, {"base": "bfloat16", "autocast": "bfloat16"}, 3),
    "deep-full": ("llama", DEEP, {"method": "full"}, 8),
    "two-types": ("gemma3_text", DEEP | SLIDING, {}, 0),
    "two-types-partly-recomputed": ("gemma3_text", DEEP | SLIDING, {"base": "bfloat16", "autocast": "bfloat16"}, 4),
}


SLOW = {"DoRA", "padded-checkpointing", "padded-eager", "full-tied", "deep", "deep-full", "two-types"}


@pytest.mark.parametrize(
    ("kind", "changes", "options", "recompute"),
    [pytest.param(*case, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, case in CASES.items()],
)
def test_other_steps_too(kind, changes, options, recompute):
    """`deep`: traced on three to six layers and written out for eight."""
    recipe, plan, config = recipe_of(**options), StepPlan(ROW, recompute, 128), config_of(kind, **changes)
    real, traced = real_peak(config, recipe, plan), traced_peak(config, recipe, plan)
    assert traced == pytest.approx(real, rel=0.001 if "num_hidden_layers" in changes else 0.005)
