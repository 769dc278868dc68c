"""What every reader hands out: rows with their place, and what was wrong with the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import DataError, Problem

KEPT_PROBLEMS = 1000  # a file of a million broken rows must not become a million objects


class Row(NamedTuple):
    """One row as the file holds it. `line` is where it starts (from 1; 0 where the format has no lines); `number`
    counts from 0 and includes the rows that could not be read."""

    values: dict[str, Any]
    file: str
    line: int
    number: int


class Findings:
    """Collects what a reader notices: `bad` rows (lost, at most 1000 kept as objects, all of them counted by code in
    `bad_counts`) and `notes` about the file that cost no row."""

    def __init__(self, path: Path):
        self.file = str(path)
        self.bad: list[Problem] = []
        self.bad_counts: Counter[str] = Counter()
        self.notes: list[Problem] = []

    def bad_row(
        self, code: str, line: int | None, place: int | None = None, key: str | None = None, **params: Any
    ) -> None:
        self.bad_counts[code] += 1
        if len(self.bad) < KEPT_PROBLEMS:
            self.bad.append(Problem(code, params, key, self.file, line, place, "warning"))

    def note(self, code: str, line: int | None = None, place: int | None = None, **params: Any) -> None:
        self.notes.append(Problem(code, params, None, self.file, line, place, "note"))

    def fatal(self, code: str, line: int | None = None, place: int | None = None, **params: Any) -> DataError:
        """The error that ends reading this file, to be raised by the caller."""
        return DataError(Problem(code, params, None, self.file, line, place))


class RowFile:
    """The rows of one file, once: iterate over it, then look at `bad`, `bad_counts` and `notes`.

    Iterating raises DataError where the file as a whole cannot be used.
    """

    def __init__(self, path: Path, found: Findings, rows: Iterator[Row], limit: int | None = None):
        self.path = path
        self._found = found
        self._rows = rows if limit is None else islice(rows, limit)

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    @property
    def bad(self) -> list[Problem]:
        """The rows that could not be read, in file order, each with severity warning (the first 1000)."""
        return self._found.bad

    @property
    def bad_counts(self) -> Counter[str]:
        """How many rows could not be read, by problem code."""
        return self._found.bad_counts

    @property
    def notes(self) -> list[Problem]:
        """What was noticed about the file and cost no row."""
        return self._found.notes
