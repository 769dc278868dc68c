"""What became of the rows of a dataset, counted by reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from engine.errors import DataError, Problem

_SHOWN = 3  # dropped rows shown with place and reason


@dataclass
class Tally:
    """What became of the rows of one dataset: `read` = `kept` + everything in `dropped` (by problem code).

    `first` holds the first three rows that were dropped, in file order; `notes` what cost no row.
    """

    name: str
    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    first: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def drop(self, problem: Problem) -> None:
        """Counts one row that cannot be used."""
        self.read += 1
        self.dropped[problem.code] += 1
        if len(self.first) < _SHOWN:
            self.first.append(problem)

    def merge_unread(self, bad: list[Problem], counts: Counter[str], files: list[str]) -> None:
        """Adds the rows that a reader lost; `files` give the order in which to show the first ones."""
        self.read += counts.total()
        self.dropped += counts
        shown = [*bad[:_SHOWN], *self.first]
        order = {file: place for place, file in enumerate(files)}
        shown.sort(key=lambda problem: (order.get(problem.file or "", 0), problem.line or 0))
        self.first = shown[:_SHOWN]

    def as_dict(self) -> dict[str, Any]:
        """The tally as a JSON object."""
        return {
            "name": self.name,
            "read": self.read,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "first": [problem.as_dict() for problem in self.first],
            "notes": [problem.as_dict() for problem in self.notes],
        }


def require_kept(tally: Tally, file: str) -> None:
    """Raises DataError with the counts and the first three rows where nothing was kept."""
    if not tally.kept:
        params = {"name": tally.name, "read": tally.read, "dropped": dict(tally.dropped), "reasons": len(tally.dropped)}
        raise DataError(Problem("dataset_no_usable_row", params, None, file), *tally.first)
