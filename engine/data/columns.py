"""Whether the columns that an entry names are there, and which that would be of use it leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from engine.data.entries import Columns, DatasetEntry, nearest, with_near
from engine.errors import DataError, Problem

_ALPACA_PARTS = ("prompt", "query", "response", "history", "system", "tools")
_CHAT_PARTS = ("messages", "system", "tools")
# Fields whose name says what they are for: worth a word when the columns object leaves them out.
_USUAL_NAMES = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "history": "history",
    "system": "system",
    "tools": "tools",
}


class ColumnCheck:
    """Looks at the rows of one dataset as they pass: what columns there are, what fills those that go unused."""

    def __init__(self, entry: DatasetEntry):
        self._entry = entry
        self._expected = expected_columns(entry)
        used = set(self._expected.values())
        parts = _ALPACA_PARTS if entry.formatting == "alpaca" else ("system", "tools")
        unlisted = [part for part in parts if getattr(entry.columns, part) is None]
        self._watched = {_USUAL_NAMES[part]: part for part in unlisted if _USUAL_NAMES[part] not in used}
        self._filled: Counter[str] = Counter()
        self._seen: dict[str, None] = {}
        self._present: list[str] = []

    def see(self, values: Mapping[str, Any], *, used: bool = True) -> None:
        """Takes note of a row; a row that is not `used` only shows its columns."""
        if not self._seen.keys() >= values.keys():
            self._seen |= dict.fromkeys(values)
            self._present = [name for name in self._watched if name in self._seen]
        if used:
            for name in self._present:
                if values.get(name):
                    self._filled[name] += 1

    @property
    def complete(self) -> bool:
        """Whether every expected column has been seen."""
        return self._seen.keys() >= set(self._expected.values())

    def notes(self, place: str) -> list[Problem]:
        """What to say of columns that are not used. Raises DataError where one that the entry names is in no row;
        the default query column `input`, and the default columns of openai, may be absent."""
        entry, present = self._entry, list(self._seen)
        missing, notes = [], []
        for part, column in self._expected.items():
            if column in self._seen or self._spared(part):
                continue
            params: dict[str, Any] = {"name": entry.name, "part": part, "column": column, "columns": present}
            if part == "query" and not entry.columns_given:
                unused = [name for name in present if name not in self._expected.values()]
                if unused:
                    notes.append(
                        Problem("dataset_no_query", {**params, "unused": unused}, column, place, severity="note")
                    )
            else:
                params["nearest"] = similar = nearest(column, present)
                missing.append(Problem(with_near("dataset_column_missing", similar), params, column, place))
        if missing:
            raise DataError(*missing)
        for name, count in self._filled.items():
            params = {"name": entry.name, "part": self._watched[name], "column": name, "rows": count}
            notes.append(Problem("dataset_column_ignored", params, name, place, severity="warning"))
        return notes

    def _spared(self, part: str) -> bool:
        if self._entry.formatting != "openai" or self._entry.columns_given:
            return False
        return part == "tools" or (part == "messages" and Columns().messages in self._seen)


def expected_columns(entry: DatasetEntry) -> dict[str, str]:
    """The column of every part that the entry's format uses: part → column name."""
    parts = _ALPACA_PARTS if entry.formatting == "alpaca" else _CHAT_PARTS
    return {part: column for part in parts if (column := getattr(entry.columns, part)) is not None}
