"""The bookkeeping of benchmarks/vram.py: what predictions and measurements come to, whether that is as expected, and

the tables. Pure functions of recorded figures; errors are relative to what was measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from engine.memory.allocator import CONTEXT
from engine.memory.job import Parts

GIB = 2**30
USUALLY, ALWAYS, SHARE = 0.05, 0.10, 0.95  # traced against allocated: within 5 % in 95 % of cells, within 10 % in all
Outcome = Literal["measured", "short", "failed", "not run"]


@dataclass(frozen=True)
class Row:
    """A cell. measured: {"allocated", "reserved", "used"} in bytes, {"short": words} where memory ran out, {"failed":

    words}, {"skipped": words} where it is known to be too large, and nothing where it has not been run.
    """

    name: str
    fast: Parts
    traced: Parts | None
    measured: Mapping[str, Any]

    @property
    def model(self) -> str:
        """The model in its name."""
        return self.name.partition(":")[0]

    @property
    def outcome(self) -> Outcome:
        """What came of it."""
        if "allocated" in self.measured:
            return "measured"
        if "short" in self.measured:
            return "short"
        return "failed" if "failed" in self.measured else "not run"

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        parts = {level: asdict(found) if found else None for level, found in self.levels.items()}
        return {**parts, "measured": dict(self.measured)}

    @property
    def levels(self) -> dict[str, Parts | None]:
        """Both predictions."""
        return {"fast": self.fast, "traced": self.traced}


def row_of(name: str, recorded: Mapping[str, Any]) -> Row:
    """A row as it was written."""
    traced = recorded["traced"]
    return Row(name, Parts(**recorded["fast"]), Parts(**traced) if traced else None, recorded["measured"])


@dataclass(frozen=True)
class Errors:
    """How far predictions of one kind are off: predicted / measured - 1 of each cell."""

    all: tuple[float, ...]

    def within(self, limit: float) -> float:
        """The share of cells that are off by no more than this; 0 where there are none."""
        return sum(abs(one) <= limit for one in self.all) / len(self.all) if self.all else 0.0

    @property
    def middle(self) -> float:
        """Their median."""
        return statistics.median(self.all)

    @property
    def least(self) -> float:
        """The furthest below."""
        return min(self.all)

    @property
    def most(self) -> float:
        """The furthest above."""
        return max(self.all)


def errors(rows: Iterable[Row], level: str, what: Literal["allocated", "reserved", "used"]) -> Errors:
    """Of the measured cells that have a prediction of this level: of tensors, of what the allocator holds, of all."""
    found = []
    for row in rows:
        parts = row.levels[level]
        if row.outcome == "measured" and parts is not None:
            predicted = {"allocated": parts.allocated, "reserved": parts.total - CONTEXT, "used": parts.total}[what]
            found.append(predicted / row.measured[what] - 1)
    return Errors(tuple(found))


def complaints(rows: Sequence[Row]) -> list[str]:
    """What is not as expected of the cells; [] where everything is. Cells that were not run do not count."""
    found = [f"{row.name}: {row.measured[row.outcome]}" for row in rows if row.outcome in ("short", "failed")]
    found += [f"{row.name}: not traced" for row in rows if row.traced is None and row.outcome == "measured"]
    traced = errors(rows, "traced", "allocated")
    if not traced.all:
        return [*found, "no cell was measured"]
    if traced.within(USUALLY) < SHARE:
        found.append(f"traced: only {traced.within(USUALLY):.0%} of the cells within {USUALLY:.0%} of allocated")
    if traced.within(ALWAYS) < 1:
        found.append(f"traced: {1 - traced.within(ALWAYS):.0%} of the cells beyond {ALWAYS:.0%} of allocated")
    return found


def broken_promises(boundary: Iterable[Mapping[str, Any]]) -> list[str]:
    """Jobs said to fit that ran out of memory, or failed: [{"name", "verdict", "measured"}]."""
    return [
        f"{job['name']}: said to fit, {job['measured'].get('short') or job['measured'].get('failed')}"
        for job in boundary
        if job["verdict"] == "fits" and not {"allocated", "skipped"} & set(job["measured"])
    ]


def differences(rows: Iterable[Row]) -> dict[str, Errors]:
    """fast / traced - 1 of allocated bytes, by model."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.traced is not None:
            found.setdefault(row.model, []).append(row.fast.allocated / row.traced.allocated - 1)
    return {model: Errors(tuple(each)) for model, each in found.items()}


def totals(rows: Iterable[Row]) -> Errors:
    """fast / traced - 1 of everything, reserve and context included."""
    return Errors(tuple(row.fast.total / row.traced.total - 1 for row in rows if row.traced))


def table(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> list[str]:
    """A table in markdown."""
    shown = [list(map(str, line)) for line in lines]
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *shown)]


def difference_table(rows: Sequence[Row]) -> list[str]:
    """Fast against traced, model by model."""
    found = differences(rows)
    lines = [
        (model, len(one.all), *(f"{part:+.2%}" for part in (one.least, one.middle, one.most)), f"{one.within(0.1):.0%}")
        for model, one in found.items()
    ]
    return table(("model", "cells", "lowest", "median", "highest", "within 10 %"), lines)


def prediction_table(rows: Iterable[Row]) -> list[str]:
    """Parts of whole models."""
    lines = []
    for row in rows:
        for level, parts in row.levels.items():
            if parts is not None:
                sizes = (*asdict(parts).values(), parts.total)
                lines.append((row.name, level, *(f"{size / GIB:.2f}" for size in sizes)))
    return table(("cell", "level", "weights", "trained", "activations", "head", "reserve", "total"), lines)


def measured_tables(rows: Sequence[Row]) -> list[str]:
    """Both levels against a GPU: the summary, then every cell."""
    kinds = [(level, what) for level in ("fast", "traced") for what in ("allocated", "reserved", "used")]
    summary = []
    for level, what in kinds:
        one = errors(rows, level, what)  # type: ignore[arg-type]
        if one.all:
            spread = (f"{part:+.1%}" for part in (one.least, one.middle, one.most))
            summary.append((level, what, len(one.all), f"{one.within(0.05):.0%}", f"{one.within(0.1):.0%}", *spread))
    head = ("predicted", "against", "cells", "within 5 %", "within 10 %", "lowest", "median", "highest")
    cells = []
    for row in rows:
        if row.outcome != "measured":
            cells.append((row.name, row.outcome, *[""] * 6))
            continue
        sizes = [f"{row.measured[what] / GIB:.2f}" for what in ("allocated", "reserved", "used")]
        off = [errors([row], level, what).all for level, what in (kinds[0], kinds[3], kinds[4], kinds[5])]  # type: ignore[arg-type]
        cells.append((row.name, *sizes, *(f"{one[0]:+.1%}" if one else "" for one in off)))
    names = ("cell", "allocated", "reserved", "used", "fast", "traced", "traced, of reserved", "traced, of used")
    return [*table(head, summary), "", "GiB, and predicted / measured - 1:", "", *table(names, cells)]
