"""One entry of dataset_info.json, checked: every error and every oddity of it is found before giving up."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from engine.data.readers import SUFFIXES
from engine.errors import DataError, Problem, Severity

Formatting = Literal["alpaca", "sharegpt"]

_HUB_KEYS = ("hf_hub_url", "ms_hub_url", "om_hub_url", "cloud_file_name")
_ENTRY_KEYS = ("file_name", "formatting", "ranking", "columns", "tags", "split", "subset", "folder", "num_samples")
_MEDIA_COLUMNS = ("images", "videos", "audios")
_PREFERENCE_COLUMNS = ("chosen", "rejected", "kto_tag")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of the file plays which part; None where none does."""

    prompt: str | None = "instruction"
    query: str | None = "input"
    response: str | None = "output"
    history: str | None = None
    messages: str | None = "conversations"
    system: str | None = None
    tools: str | None = None


@dataclass(frozen=True, slots=True)
class Tags:
    """How messages of a sharegpt row name their two members and their roles; None where a role has no name."""

    role_tag: str | None = "from"
    content_tag: str | None = "value"
    user_tag: str | None = "human"
    assistant_tag: str | None = "gpt"
    observation_tag: str | None = "observation"
    function_tag: str | None = "function_call"
    system_tag: str | None = "system"


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """One dataset: its files in reading order, and how rows become conversations.

    `columns_given` and `tags_given` say whether dataset_info.json holds the object: if so, what it does not list is
    None. `file` and `line` are the entry's place; `notes` what is odd about it without stopping anything.
    """

    name: str
    files: tuple[Path, ...]
    formatting: Formatting = "alpaca"
    columns: Columns = Columns()
    tags: Tags = Tags()
    columns_given: bool = False
    tags_given: bool = False
    file: str | None = None
    line: int | None = None
    notes: tuple[Problem, ...] = ()


class EntryReader:
    """Checks the entry `name` of `entries`, read from `info_file`, where it starts on `line`."""

    def __init__(self, name: str, entries: dict[str, Any], info_file: Path, line: int | None):
        self.name, self.entries, self.info_file, self.line = name, entries, info_file, line
        self.errors: list[Problem] = []
        self.notes: list[Problem] = []

    def entry(self) -> DatasetEntry:
        """The entry. Raises DataError with all that is wrong with it."""
        if self.name not in self.entries:
            names = list(self.entries)
            similar = nearest(self.name, names)
            self._error(with_near("dataset_unknown", similar), nearest=similar, names=names)
            raise DataError(*self.errors)
        raw = self.entries[self.name]
        if not isinstance(raw, dict):
            self._error("dataset_entry_not_object")
            raise DataError(*self.errors)
        self._unsupported(raw)
        formatting = raw.get("formatting", "alpaca")
        if formatting not in ("alpaca", "sharegpt"):
            code = "dataset_formatting_openai" if formatting == "openai" else "dataset_formatting"
            self._error(code, key="formatting", formatting=formatting)
        columns = self._members(raw, "columns", Columns())
        tags = self._members(raw, "tags", Tags())
        files = self._files(raw)
        if not self.errors:
            self._complete(formatting, columns, tags)
        if self.errors:
            raise DataError(*self.errors)
        given = ("columns" in raw, "tags" in raw)
        place = (str(self.info_file), self.line)
        return DatasetEntry(self.name, files, formatting, columns, tags, *given, *place, tuple(self.notes))

    def _unsupported(self, raw: dict[str, Any]) -> None:
        for key, value in raw.items():
            if key in _HUB_KEYS:
                self._error("dataset_hub", key=key, url=value)
            elif key == "script_url":
                self._error("dataset_script", key=key)
            elif key == "ranking":
                if value:
                    self._error("dataset_ranking", key=key)
            elif key == "num_samples" and value is not None:
                self._error("dataset_key_not_supported", key=key)
            elif key == "split" and value not in (None, "train"):
                self._error("dataset_split", key=key, value=value)
            elif key in ("subset", "folder") and value is not None:
                self._note("dataset_key_ignored", key)
            elif key not in _ENTRY_KEYS:
                self._unknown(key, list(_ENTRY_KEYS), "dataset_key_unknown")

    def _members(self, raw: dict[str, Any], part: str, defaults: Any) -> Any:
        """`columns` or `tags`: as soon as the object is there, every member it does not list is None."""
        if part not in raw:
            return defaults
        given = raw[part]
        if not isinstance(given, dict):
            self._error("dataset_part_not_object", key=part)
            return defaults
        known = [field.name for field in fields(defaults)]
        values: dict[str, str | None] = dict.fromkeys(known)
        for key, value in given.items():
            place = f"{part}.{key}"
            if value is not None and not isinstance(value, str):
                self._error("dataset_name_not_text", key=place)
            elif key in known:
                values[key] = value
            elif value is None:
                continue
            elif part == "columns" and key in _MEDIA_COLUMNS:
                self._error("dataset_media", key=place)
            elif part == "columns" and key == "kto_tag":
                self._error("dataset_ranking", key=place)
            elif part == "columns" and key in _PREFERENCE_COLUMNS:
                self._note("dataset_key_ignored", place)
            else:
                self._unknown(key, known, f"dataset_{part[:-1]}_unknown", place)
        return replace(defaults, **values)

    def _complete(self, formatting: str, columns: Columns, tags: Tags) -> None:
        """What an all-or-nothing object leaves out and no row can do without."""
        if formatting == "sharegpt":
            if columns.messages is None:
                self._error("dataset_columns_incomplete", key="columns", missing="messages")
            for key in ("role_tag", "content_tag", "user_tag", "assistant_tag"):
                if getattr(tags, key) is None:
                    self._error("dataset_tags_incomplete", key="tags", missing=key, default=getattr(Tags(), key))
            return
        if columns.prompt is None and columns.query is None:
            self._error("dataset_columns_incomplete", key="columns", missing="prompt")
        if columns.response is None:
            self._error("dataset_columns_incomplete", key="columns", missing="response")

    def _files(self, raw: dict[str, Any]) -> tuple[Path, ...]:
        name = raw.get("file_name")
        if any(key in raw for key in (*_HUB_KEYS, "script_url")):
            return ()  # already refused
        if not isinstance(name, str) or not name:
            self._error("dataset_no_file_name", key="file_name", keys=list(raw))
            return ()
        path = self.info_file.parent / name
        if path.is_dir():
            return self._folder(path)
        if not path.is_file():
            beside = listing(path.parent)
            similar = nearest(path.name, beside)
            code = with_near("dataset_file_missing", similar)
            self._error(code, key="file_name", path=str(path), nearest=similar, exists=beside)
        elif path.suffix.lower() not in SUFFIXES:
            self._error("data_file_suffix", key="file_name", suffix=path.suffix or "no suffix", suffixes=list(SUFFIXES))
        return (path,)

    def _folder(self, folder: Path) -> tuple[Path, ...]:
        files = sorted(item for item in folder.iterdir() if item.is_file() and not item.name.startswith("."))
        kinds = sorted({item.suffix.lower() for item in files})
        if not files:
            self._error("dataset_folder_empty", key="file_name", path=str(folder))
        elif len({".json" if kind == ".jsonl" else kind for kind in kinds}) > 1:
            self._error("dataset_folder_mixed", key="file_name", path=str(folder), suffixes=kinds)
        elif kinds[0] not in SUFFIXES:
            self._error("data_file_suffix", key="file_name", suffix=kinds[0] or "no suffix", suffixes=list(SUFFIXES))
        return tuple(files)

    def _unknown(self, key: str, known: list[str], code: str, place: str | None = None) -> None:
        similar = nearest(key, known, 1)
        if similar:
            self._note("dataset_key_misspelt", place or key, "warning", written=key, nearest=similar[0])
        else:
            self._note(code, place or key)

    def _error(self, code: str, key: str | None = None, **params: Any) -> None:
        self.errors.append(self._problem(code, key, "error", params))

    def _note(self, code: str, key: str, severity: Severity = "note", **params: Any) -> None:
        self.notes.append(self._problem(code, key, severity, params))

    def _problem(self, code: str, key: str | None, severity: Severity, params: dict[str, Any]) -> Problem:
        return Problem(code, {"name": self.name, **params}, key, str(self.info_file), self.line, None, severity)


def nearest(name: str, names: list[str], count: int = 3) -> list[str]:
    """The names most like `name`, best first; none where nothing is like it."""
    lower = {candidate.lower(): candidate for candidate in names}
    return [lower[match] for match in difflib.get_close_matches(name.lower(), list(lower), count, 0.6)]


def with_near(code: str, similar: list[str]) -> str:
    """The code of the message that names the nearest ones, where there are any."""
    return f"{code}_near" if similar else code


def listing(folder: Path) -> list[str]:
    """Up to a dozen names of what lies in a folder, to show beside what was looked for."""
    if not folder.is_dir():
        return []
    return sorted(item.name + "/" * item.is_dir() for item in folder.iterdir() if not item.name.startswith("."))[:12]
