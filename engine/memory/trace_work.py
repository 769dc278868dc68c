"""The worker of traced.py: {config, recipe, plan} as JSON on its input, the parts of the peak as JSON on its output.

No file is opened but those of the libraries. What goes wrong is a line on its error output and an exit code.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import msgspec
import torch

from engine.memory.allocator import CONTEXT, PROCESS, ROUNDING, WORKSPACE, Allocator
from engine.memory.job import Parts, Recipe, StepPlan
from engine.memory.trace_step import Traced, trace, traces_update
from engine.memory.unroll import Peak, Step, peak


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """{"parts", "notes": codes that traced.py has words for, "layers": how many were traced}."""
    recipe, plan = msgspec.convert(request["recipe"], Recipe), msgspec.convert(request["plan"], StepPlan)
    found = trace(request["config"], recipe, plan)
    return {"parts": asdict(parts_of(found, recipe)), "notes": notes_of(found, recipe), "layers": found.layers}


def parts_of(found: Traced, recipe: Recipe) -> Parts:
    """The parts at the peak of the step."""
    rounding = ROUNDING if recipe.kind == "cuda" else 1
    weights, trained = (
        sum(-(-size // rounding) * rounding for size in part) for part in (found.weights, found.trained)
    )
    at = max(peak(found.row, rounding), Peak(peak(found.update, rounding).total, 0))
    reserve = PROCESS
    if recipe.kind == "cuda":
        reserve = CONTEXT + WORKSPACE + held(found) - (weights + trained + at.total)
    return Parts(weights, trained, at.total - at.head, at.head, reserve)


def held(found: Traced) -> int:
    """Bytes that the caching allocator holds after a few steps: what stays, rows, an update, a row of the next step.

    cuBLAS's workspace is not among it. Every event is that of the full depth.
    """
    allocator = Allocator()
    name = 0
    for size in (*found.weights, *found.trained):
        allocator.allocate(name := name + 1, size)
    for events in (found.row, found.row, found.update, found.row):
        name += 1
        allocator.replay(((step.storage, step.size) for step in events), name)
        name += _count(events)
    return allocator.reserved


def _count(events: list[Step]) -> int:
    return max((step.storage for step in events), default=0)


def notes_of(found: Traced, recipe: Recipe) -> list[str]:
    """What entered by its known size instead of being traced."""
    notes = []
    if recipe.attention == "varlen" and recipe.packed:
        notes.append("varlen")
    if recipe.attention == "sdpa" and recipe.kind == "cuda":
        notes.append("sdpa")
    if recipe.bits:
        notes.append("packed_weights")
    if not traces_update(recipe):
        notes.append("optimiser")
    return notes + found.peculiar


def main() -> None:
    """One request, one answer; then this process ends."""
    request = json.load(sys.stdin)
    torch.set_num_threads(1)
    started = time.monotonic()
    try:
        found = answer(request)
    except Exception as error:  # whatever a model's own code raises: the reason, for the caller to show
        lines = str(error).strip().splitlines()
        sys.exit(" … ".join((f"{type(error).__name__}: {''.join(lines[:1])}"[:200], *lines[1:][-1:])))
    found["seconds"] = round(time.monotonic() - started, 3)
    found["resident"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
