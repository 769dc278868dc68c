"""dataset_info.json: which files a dataset name stands for and how their rows are read, as in LLaMA-Factory."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data.entries import Columns, DatasetEntry, HubSet, Tags, listing, nearest
from engine.data.entry_reader import EntryReader
from engine.data.hub import hub_file
from engine.data.readers.jsontext import BrokenJSONError, decode, key_places, lone_surrogate
from engine.errors import DataError, Problem
from engine.storage import write_json

__all__ = ["Columns", "DatasetEntry", "Registry", "Tags", "load_registry", "nearest", "register"]

INFO_FILE = "dataset_info.json"


ONLINE = "ONLINE"
REMOTE = "REMOTE:"


@dataclass(frozen=True, slots=True)
class Registry:
    """The entries of one dataset_info.json, unchecked until they are asked for.

    With `online` there is none: every name is one of the hub, its rows alpaca.
    """

    dataset_dir: Path
    path: Path
    entries: dict[str, Any]
    lines: dict[str, int]
    online: bool = False

    def resolve(self, names: list[str]) -> list[DatasetEntry]:
        """The entries of these names, in this order. Raises DataError with every problem of all of them."""
        if self.online:
            return [DatasetEntry(name, (), hub=HubSet(name)) for name in names]
        remote = is_remote(self.dataset_dir)
        found: list[DatasetEntry] = []
        problems: list[Problem] = []
        for name in names:
            try:
                found.append(EntryReader(name, self.entries, self.path, self.lines.get(name), remote).entry())
            except DataError as error:
                problems.extend(error.problems)
        if problems:
            raise DataError(*problems)
        return found


def load_registry(dataset_dir: Path) -> Registry:
    """Reads `dataset_dir`/dataset_info.json. Raises DataError where it is missing or no JSON object.

    As in LLaMA-Factory, `ONLINE` makes every dataset name one of the hub, and `REMOTE:name` takes the dataset_info.json
    of that dataset on the hub (EnvironmentProblem where it is out of reach).
    """
    if is_remote(dataset_dir):
        text = str(dataset_dir)
        if text == ONLINE:
            return Registry(dataset_dir, dataset_dir, {}, {}, online=True)
        return _parsed(dataset_dir, hub_file(text.removeprefix(REMOTE), INFO_FILE))
    path = dataset_dir / INFO_FILE
    if not dataset_dir.is_dir():
        raise DataError(
            Problem("dataset_folder_missing", {"folder": str(dataset_dir), "exists": listing(dataset_dir.parent)})
        )
    if not path.is_file():
        raise DataError(
            Problem(
                "dataset_info_missing",
                {"folder": str(dataset_dir), "looked_for": INFO_FILE, "exists": listing(dataset_dir)},
            )
        )
    return _parsed(dataset_dir, path)


def is_remote(dataset_dir: str | Path) -> bool:
    """Whether `dataset_dir` is no folder but ONLINE or REMOTE:name."""
    text = str(dataset_dir)
    return text == ONLINE or text.startswith(REMOTE)


def _parsed(dataset_dir: Path, path: Path) -> Registry:
    text = _info_text(path)
    start = len(text) - len(text.lstrip())
    try:
        raw, end = decode(text, start)
        if text[end:].strip():
            raise BrokenJSONError("data_json_extra", end)
        if lone_surrogate(raw):
            raise BrokenJSONError("data_json_lone_surrogate", start)
    except BrokenJSONError as broken:
        line = text.count("\n", 0, broken.position) + 1
        column = broken.position - text.rfind("\n", 0, broken.position)
        raise DataError(Problem(broken.code, broken.params, None, str(path), line, column)) from None
    if not isinstance(raw, dict):
        raise DataError(Problem("dataset_info_not_object", {}, None, str(path), 1))
    lines = {name: text.count("\n", 0, place) + 1 for depth, name, place in key_places(text, start) if depth == 1}
    return Registry(dataset_dir, path, raw, lines)


def register(dataset_dir: Path, name: str, entry: dict[str, Any]) -> Path:
    """Adds or replaces one entry of dataset_info.json, creating the file where there is none, and returns its path.

    Other entries keep their content and order. The file is replaced whole or not at all. Raises DataError where the
    existing file cannot be read: it is never written over.
    """
    path = dataset_dir / INFO_FILE
    entries = dict(load_registry(dataset_dir).entries) if path.exists() else {}
    entries[name] = entry
    write_json(path, entries, stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644)
    return path


def _info_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise DataError(Problem("data_not_utf8", {}, None, str(path), line, column)) from None
    except OSError as error:
        raise DataError(Problem("data_file_unreadable", {"reason": str(error)}, None, str(path))) from None
