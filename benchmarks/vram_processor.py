"""What benchmarks/vram.py measures without a GPU: peaks of real steps on the processor, and what the estimates take."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.vram_cells import MODELS, Cell, request, traced_requests, train_config
from engine.hardware import host
from engine.memory.fast import fast_estimate
from engine.memory.job import Device, Recipe, StepPlan
from engine.memory.recipe import recipe_of
from engine.memory.shape import shape_of
from engine.runs.launch import python_module, worker_environment

CALLS = 1000
NARROW = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 4096,
    "pad_token_id": 0,
}
Ask = Callable[[dict[str, Any]], dict[str, Any]]


def real_steps(ask: Ask) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, {"allocated", "fast", "traced": bytes}) of each step; `ask` runs a child (vram_step.py)."""
    steps = dict(_steps())
    asked = {
        name: {"config": config, "recipe": _plain(recipe), "plan": _plain(plan)}
        for name, (config, recipe, plan) in steps.items()
    }
    traced = traced_requests(asked)
    for name, (config, recipe, plan) in steps.items():
        found = ask({"do": "profile", **asked[name]})
        fast = fast_estimate(shape_of(config), recipe, plan).parts.allocated
        yield name, {**found, "fast": fast, "traced": traced[name].allocated if name in traced else None}


def _plain(value: Any) -> dict[str, Any]:
    return dict(vars(value))


def _steps() -> Iterator[tuple[str, tuple[dict[str, Any], Recipe, StepPlan]]]:
    """SmolLM2-135M as it is, and narrow models of other families."""
    smol = MODELS["SmolLM2-135M"]
    plain = _recipe(smol)
    deep = smol["num_hidden_layers"]
    yield "SmolLM2-135M, fp32, 512 tokens, kept", (smol, plain, StepPlan(512))
    yield "SmolLM2-135M, fp32, 512 tokens, half recomputed", (smol, plain, StepPlan(512, deep // 2))
    yield "SmolLM2-135M, fp32, 512 tokens, recomputed", (smol, plain, StepPlan(512, deep))
    for name in ("Qwen3-1.7B", "Qwen2.5-7B", "Mistral-7B", "Gemma-3-1B", "Phi-3-mini"):
        narrow = {**MODELS[name], **NARROW}
        for recompute in (0, 4):
            kept = "recomputed" if recompute else "kept"
            yield f"{name} narrowed, fp32, 512 tokens, {kept}", (narrow, _recipe(narrow), StepPlan(512, recompute))


def _recipe(config: dict[str, Any]) -> Recipe:
    here = host()
    device = Device("cpu", here.cpu, here.memory, here.free)
    job = train_config("lora", "model", "out", batch=1, accumulation=1)
    return recipe_of(job, {}, shape_of(config), device, fast_bf16=lambda: False)


def timings(device: Device) -> Iterator[tuple[str, dict[str, float]]]:
    """(model, {"fast_ms": median of CALLS from config.json to parts, "traced_s": after imports, "whole_s": of the

    child, "resident": its peak in bytes}) at full depth, 4096 tokens kept. Nothing comes from a cache.
    """
    for model, config in MODELS.items():
        cell = Cell(model, config["num_hidden_layers"], "lora", False, 1, 4096)
        recipe, plan = cell.recipe(device), cell.plan
        times = []
        for _ in range(CALLS):
            started = time.perf_counter()
            fast_estimate(shape_of(config), recipe, plan)
            times.append(time.perf_counter() - started)
        started = time.monotonic()
        child = subprocess.run(
            python_module("engine.memory.trace_work"),
            input=json.dumps(request(cell, device)).encode(),
            stdout=subprocess.PIPE,
            check=True,
            env={**worker_environment(), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        )
        whole = time.monotonic() - started
        said = json.loads(child.stdout)
        yield (
            model,
            {
                "fast_ms": 1000 * statistics.median(times),
                "traced_s": said["seconds"],
                "whole_s": whole,
                "resident": said["resident"],
            },
        )
