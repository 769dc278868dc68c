"""Datasets into samples: columns checked, every row converted, what was dropped counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.data.conversation import Origin, Sample
from engine.data.entries import DatasetEntry, nearest, with_near
from engine.data.readers import Row, read_rows
from engine.data.turns import DroppedRowError, conversation_of, role_names
from engine.errors import DataError, Problem

_SHOWN = 3  # dropped rows shown with place and reason
_ALPACA_PARTS = ("prompt", "query", "response", "history", "system", "tools")
_SHAREGPT_PARTS = ("messages", "system", "tools")
# Fields whose name says what they are for: worth a word when the columns object leaves them out.
_USUAL_NAMES = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "history": "history",
    "system": "system",
    "tools": "tools",
}


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
        shown.sort(key=lambda problem: (files.index(problem.file or files[0]), problem.line or 0))
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


def load_samples(entry: DatasetEntry, max_samples: int | None = None) -> tuple[list[Sample], Tally]:
    """The samples of a dataset and their tally; with `max_samples`, of its first so many readable rows.

    Raises DataError where a file cannot be used, a column that the entry names is in no row, or no row is usable.
    """
    tally = Tally(entry.name, notes=list(entry.notes))
    rows, seen, bad, counts = _rows(entry, max_samples, tally)
    if rows:
        tally.notes += check_columns(rows, entry, list(seen))
    samples = []
    for item in converted(rows, entry):
        if isinstance(item, Problem):
            tally.drop(item)
        else:
            samples.append(item)
    tally.read += len(samples)
    tally.kept = len(samples)
    tally.merge_unread(bad, counts, [str(path) for path in entry.files])
    if tally.dropped["data_row_system_tag_missing"]:
        params = {"name": entry.name, "rows": tally.dropped["data_row_system_tag_missing"]}
        tally.notes.append(Problem("dataset_system_tag", params, "tags", entry.file, entry.line, severity="warning"))
    require_kept(tally, str(entry.files[0]))
    return samples, tally


def require_kept(tally: Tally, file: str) -> None:
    """Raises DataError with the counts and the first three rows where nothing was kept."""
    if not tally.kept:
        params = {"name": tally.name, "read": tally.read, "dropped": dict(tally.dropped), "reasons": len(tally.dropped)}
        raise DataError(Problem("dataset_no_usable_row", params, None, file), *tally.first)


def conversations(rows: Sequence[Row], entry: DatasetEntry) -> Iterator[Sample | Problem]:
    """A Sample for every usable row and a Problem (severity warning) for every other one, in order.

    Raises DataError at once where a column that the entry names is in no row (see `check_columns`).
    """
    check_columns(rows, entry)
    return converted(rows, entry)


def converted(rows: Iterable[Row], entry: DatasetEntry) -> Iterator[Sample | Problem]:
    """`conversations` for rows whose columns have been checked."""
    roles = role_names(entry.tags)
    for row in rows:
        try:
            yield Sample(conversation_of(row, entry, roles), Origin(row.file, row.line, row.number))
        except DroppedRowError as dropped:
            yield dropped.problem(row)


def check_columns(rows: Sequence[Row], entry: DatasetEntry, seen: Sequence[str] | None = None) -> list[Problem]:
    """Compares the columns that rows hold with those the entry names; returns notes on fields that go unused.

    `seen` are the columns of the whole file where `rows` is only its beginning. Raises DataError where a named column
    is in no row; the default query column `input` may be absent.
    """
    present = list(dict.fromkeys(name for row in rows for name in row.values)) if seen is None else list(seen)
    place = rows[0].file if rows else (str(entry.files[0]) if entry.files else None)
    expected = expected_columns(entry)
    missing, notes = [], []
    for part, column in expected.items():
        if column in present:
            continue
        params = {"name": entry.name, "part": part, "column": column, "columns": present}
        if part == "query" and not entry.columns_given:
            unused = [name for name in present if name not in expected.values()]
            if unused:
                notes.append(Problem("dataset_no_query", {**params, "unused": unused}, column, place, severity="note"))
        else:
            params["nearest"] = similar = nearest(column, present)
            missing.append(Problem(with_near("dataset_column_missing", similar), params, column, place))
    if missing:
        raise DataError(*missing)
    return notes + _ignored(rows, entry, expected, place)


def expected_columns(entry: DatasetEntry) -> dict[str, str]:
    """The column of every part that the entry's format uses: part → column name."""
    parts = _SHAREGPT_PARTS if entry.formatting == "sharegpt" else _ALPACA_PARTS
    return {part: column for part in parts if (column := getattr(entry.columns, part)) is not None}


def _ignored(rows: Sequence[Row], entry: DatasetEntry, expected: dict[str, str], place: str | None) -> list[Problem]:
    """Notes on fields that the rows fill and the entry does not use, though their name says what they are for."""
    parts = ("system", "tools") if entry.formatting == "sharegpt" else _ALPACA_PARTS
    used = set(expected.values())
    notes = []
    for part in parts:
        name = _USUAL_NAMES[part]
        if getattr(entry.columns, part) is not None or name in used:
            continue
        count = sum(1 for row in rows if row.values.get(name))
        if count:
            params = {"name": entry.name, "part": part, "column": name, "rows": count}
            notes.append(Problem("dataset_column_ignored", params, name, place, severity="warning"))
    return notes


def _rows(
    entry: DatasetEntry, limit: int | None, tally: Tally
) -> tuple[list[Row], dict[str, None], list[Problem], Counter[str]]:
    """The first `limit` rows, the columns of all, and the rows lost among them.

    Reading goes on past the limit only while an expected column has not been seen: it may come later in the file.
    """
    rows: list[Row] = []
    seen: dict[str, None] = {}
    bad: list[Problem] = []
    counts: Counter[str] = Counter()
    expected = set(expected_columns(entry).values())
    full = False
    for path in entry.files:
        file = read_rows(path)
        for row in file:
            if not full:
                rows.append(row)
            if not seen.keys() >= row.values.keys():
                seen |= dict.fromkeys(row.values)
            if not full and limit is not None and len(rows) >= limit:
                full = True
                bad += file.bad
                counts += file.bad_counts
            if full and seen.keys() >= expected:
                tally.notes += file.notes
                return rows, seen, bad, counts
        tally.notes += file.notes
        if not full:
            bad += file.bad
            counts += file.bad_counts
    return rows, seen, bad, counts
