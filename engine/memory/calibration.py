"""What this machine measured against what was predicted: later estimates are multiplied by it.

Only activations and head are scaled: weights, gradients and optimiser state are known from the files, and in a sum with
them an error of the rest would look small for one job and be large for the next.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from engine.memory.job import Device, Parts, Recipe, StepPlan
from engine.memory.planning import Costs
from engine.storage import state_folder, write_whole

KEPT = 5  # measurements that count, the latest
LEAST, MOST = 0.5, 2.0  # beyond these it is no error of the estimate, but something else that was measured
FULL = 64 << 10  # bytes of the file, about 300 measurements; then only the newer half is kept


def factor(device: Device, recipe: Recipe, *, file: Path | None = None) -> float:
    """measured / predicted of activations and head on this device with this torch and attention; 1.0 if never measured.

    The largest of the last KEPT, within LEAST and MOST: an estimate that is too low ends in a shortage, one that is too
    high costs a little speed; and one odd run is forgotten after a few others. A file that is damaged counts as none.
    """
    wanted = _key(device, recipe)
    ratios: deque[float] = deque(maxlen=KEPT)
    for entry in _entries(file or _file()):
        sizes = entry.get("predicted"), entry.get("measured")
        if all(entry.get(name) == value for name, value in wanted.items()) and _positive(*sizes):
            ratios.append(entry["measured"] / entry["predicted"])
    return min(MOST, max(LEAST, *ratios)) if ratios else 1.0


def record(device: Device, recipe: Recipe, predicted: int, measured: int, *, file: Path | None = None) -> None:
    """Note what activations and head took at the peak, in bytes, and what was predicted without any factor.

    A line is appended with one write, so any number of runs may do it at once. A disk that is full is no reason to end
    a run: nothing is noted then.
    """
    if not _positive(predicted, measured):
        return
    path = file or _file()
    line = json.dumps({**_key(device, recipe), "predicted": predicted, "measured": measured}) + "\n"
    with contextlib.suppress(OSError):
        if path.exists() and path.stat().st_size > FULL:
            lines = path.read_bytes().splitlines(keepends=True)
            write_whole(path, b"".join(lines[len(lines) // 2 :]))
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Calibrated:
    """Costs as this machine measured them."""

    costs: Costs
    factor: float

    def parts(self, plan: StepPlan) -> Parts:
        """As of `costs`, activations and head times the factor."""
        found = self.costs.parts(plan)
        activations, head = (round(size * self.factor) for size in (found.activations, found.head))
        return replace(found, activations=activations, head=head)


def _key(device: Device, recipe: Recipe) -> dict[str, str]:
    return {"device": device.name, "torch": _torch(), "attention": recipe.attention, "kind": recipe.kind}


@cache
def _torch() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torch")
    except PackageNotFoundError:
        return ""


def _file() -> Path:
    return state_folder() / "memory.jsonl"


def _entries(file: Path) -> list[dict[str, Any]]:
    """The lines that can be read."""
    found = []
    with contextlib.suppress(OSError):
        for line in file.read_bytes().splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    found.append(entry)
    return found


def _positive(*values: Any) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values)
