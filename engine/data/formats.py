"""Datasets into samples: columns checked, every row converted, what was dropped counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from engine.data.collector import collector_paused
from engine.data.columns import ColumnCheck
from engine.data.conversation import Origin, Sample
from engine.data.dropped import DroppedRowError
from engine.data.entries import DatasetEntry
from engine.data.hub import hub_rows
from engine.data.readers import Row, read_rows
from engine.data.selection import TRAIN, drawn, sliced
from engine.data.tally import Tally, require_kept
from engine.data.turns import converter
from engine.errors import DataError, Problem

__all__ = ["Tally", "conversations", "load_samples", "require_kept"]


def load_samples(
    entry: DatasetEntry,
    max_samples: int | None = None,
    *,
    draw: np.random.RandomState | None = None,
    strict: bool = False,
    cache_dir: str | None = None,
) -> tuple[list[Sample], Tally]:
    """The samples of a dataset and their tally: its slices, of these `num_samples`, of these the first `max_samples`.

    `draw` serves `num_samples`: one generator RandomState(seed) for all sets of a run, training sets first, draws the
    rows that LLaMA-Factory draws. `strict` reproduces LLaMA-Factory 0.9.5's openai converter. `cache_dir` is where
    `datasets` keeps sets of the hub.
    Raises DataError where a file cannot be used, a column that the entry names is in no row, or no row is usable;
    EnvironmentProblem where the hub is out of reach.
    """
    tally = Tally(entry.name, notes=list(entry.notes))
    with collector_paused():
        return _load(entry, tally, max_samples, draw, strict, cache_dir)


def _load(
    entry: DatasetEntry,
    tally: Tally,
    max_samples: int | None,
    draw: np.random.RandomState | None,
    strict: bool,
    cache_dir: str | None,
) -> tuple[list[Sample], Tally]:
    whole = entry.slices == TRAIN and entry.num_samples is None
    reading = _Reading(entry, strict, max_samples if whole else None)
    items = reading.items(hub_rows(entry.hub, cache_dir)) if entry.hub else reading.items_of_files()
    tally.notes += reading.notes
    if items:
        tally.notes += reading.check.notes(entry.source)
    if not whole:
        items = _selected(items, entry, max_samples, draw)
    samples = [item for item in items if not isinstance(item, Problem)]
    if len(samples) < len(items):
        for item in items:
            if isinstance(item, Problem):
                tally.drop(item)
    tally.read += len(samples)
    tally.kept = len(samples)
    tally.merge_unread(reading.bad, reading.bad_counts, [str(path) for path in entry.files])
    tally.notes += _afterwords(entry, tally, reading.unused)
    require_kept(tally, entry.source)
    return samples, tally


def conversations(rows: Sequence[Row], entry: DatasetEntry, *, strict: bool = False) -> Iterator[Sample | Problem]:
    """A Sample for every usable row and a Problem (severity warning) for every other one, in order.

    Raises DataError at once where a column that the entry names is in no row.
    """
    reading = _Reading(entry, strict, None)
    items = reading.items(rows)
    reading.check.notes(rows[0].file if rows else entry.source)
    return iter(items)


class _Reading:
    """Rows into samples as they come, so that no more than the samples stays in memory.

    Reading goes on past `limit` rows only while an expected column has not been seen: it may come later in the file.
    """

    def __init__(self, entry: DatasetEntry, strict: bool, limit: int | None):
        self.check = ColumnCheck(entry)
        self.bad: list[Problem] = []
        self.bad_counts: Counter[str] = Counter()
        self.notes: list[Problem] = []
        self.unused: Counter[str] = Counter()
        self._entry, self._limit = entry, limit
        self._convert = converter(entry, strict, self.unused)
        self._items: list[Sample | Problem] = []

    def items_of_files(self) -> list[Sample | Problem]:
        """A sample or a problem for every row of the entry's files."""
        for path in self._entry.files:
            if self._done():
                break
            full = self._full()
            file = read_rows(path)
            rows = iter(file)
            if not full:
                self._take(rows)
                self.bad += file.bad
                self.bad_counts += file.bad_counts
            self._skim(rows)
            self.notes += file.notes
        return self._items

    def items(self, rows: Iterable[Row]) -> list[Sample | Problem]:
        """A sample or a problem for every row."""
        remaining = iter(rows)
        self._take(remaining)
        self._skim(remaining)
        return self._items

    def _full(self) -> bool:
        return self._limit is not None and len(self._items) >= self._limit

    def _done(self) -> bool:
        return self._full() and self.check.complete

    def _take(self, rows: Iterator[Row]) -> None:
        see, convert, append = self.check.see, self._convert, self._items.append
        room = None if self._limit is None else self._limit - len(self._items)
        for row in rows:
            see(row.values)
            try:
                append(Sample(convert(row.values), Origin(row.file, row.line, row.number)))
            except DroppedRowError as dropped:
                append(dropped.problem(row))
            if room is not None and (room := room - 1) <= 0:
                return

    def _skim(self, rows: Iterator[Row]) -> None:
        """What follows the rows that are used, as far as it has to be looked at."""
        if self._full():
            while not self.check.complete and (row := next(rows, None)) is not None:
                self.check.see(row.values, used=False)


def _selected(
    items: list[Sample | Problem], entry: DatasetEntry, max_samples: int | None, draw: np.random.RandomState | None
) -> list[Sample | Problem]:
    try:
        items = sliced(items, entry.slices)
    except ValueError:
        params = {"name": entry.name, "rows": len(items)}
        raise DataError(Problem("dataset_split_small", params, "split", entry.file, entry.line)) from None
    if items and entry.num_samples is not None:
        items = drawn(items, entry.num_samples, draw or np.random.RandomState(42))
    return items[:max_samples]


def _afterwords(entry: DatasetEntry, tally: Tally, unused: Counter[str]) -> list[Problem]:
    """Warnings that need the counts of all rows."""
    found = Counter({"dataset_system_tag": tally.dropped["data_row_system_tag_missing"]}) + unused
    return [
        Problem(code, {"name": entry.name, "rows": rows}, "tags", entry.file, entry.line, severity="warning")
        for code, rows in found.items()
    ]
