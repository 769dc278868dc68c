"""One entry of dataset_info.json, checked: every error and every oddity of it is found before giving up."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from engine.data.entries import Columns, DatasetEntry, HubSet, Tags, listing, nearest, with_near
from engine.data.readers import READABLE
from engine.data.selection import TRAIN, Slice, parse_split
from engine.errors import DataError, Problem, Severity

FORMATS = ("alpaca", "sharegpt", "openai")

_HUB_KEYS = ("hf_hub_url", "ms_hub_url", "om_hub_url")
_ENTRY_KEYS = (
    *_HUB_KEYS,
    "script_url",
    "cloud_file_name",
    "file_name",
    "formatting",
    "ranking",
    "columns",
    "tags",
    "split",
    "subset",
    "folder",
    "num_samples",
)
_MEDIA_COLUMNS = ("images", "videos", "audios")
_PREFERENCE_COLUMNS = ("chosen", "rejected", "kto_tag")
OPENAI_COLUMNS = Columns(None, None, None, None, "messages", None, "tools")


class EntryReader:
    """Checks the entry `name` of `entries`, read from `info_file`, where it starts on `line`.

    A `remote` registry lies on the hub: there are no files beside it.
    """

    def __init__(self, name: str, entries: dict[str, Any], info_file: Path, line: int | None, remote: bool = False):
        self.remote = remote
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
        if formatting not in FORMATS:
            self._error("dataset_formatting", key="formatting", formatting=formatting, formats=list(FORMATS))
        columns = self._members(raw, "columns", OPENAI_COLUMNS if formatting == "openai" else Columns())
        tags = self._members(raw, "tags", Tags())
        hub = self._hub(raw)
        files = () if hub or self.errors else self._files(raw)
        slices = TRAIN if hub else self._slices(raw)
        count = self._num_samples(raw)
        if not self.errors:
            self._complete(formatting, columns, tags, given=formatting != "openai" or "tags" in raw)
        if self.errors:
            raise DataError(*self.errors)
        return DatasetEntry(
            self.name,
            files,
            formatting,
            columns,
            tags,
            "columns" in raw,
            "tags" in raw,
            str(self.info_file),
            self.line,
            tuple(self.notes),
            hub,
            slices,
            count,
        )

    def _unsupported(self, raw: dict[str, Any]) -> None:
        for key, value in raw.items():
            if key == "script_url" and "hf_hub_url" not in raw:
                self._error("dataset_script", key=key)
            elif key == "cloud_file_name" and "hf_hub_url" not in raw:
                self._error("dataset_cloud", key=key, url=value)
            elif key == "ranking":
                if value:
                    self._error("dataset_ranking", key=key)
            elif key in ("subset", "folder") and value is not None and not any(name in raw for name in _HUB_KEYS):
                self._note("dataset_key_ignored", key)
            elif key not in _ENTRY_KEYS:
                self._unknown(key, list(_ENTRY_KEYS), "dataset_key_unknown")

    def _hub(self, raw: dict[str, Any]) -> HubSet | None:
        """The set on the Hugging Face hub: it comes before every other source, as in LLaMA-Factory."""
        name = raw.get("hf_hub_url")
        if name is None:
            other = next((key for key in _HUB_KEYS if key in raw), None)
            if other is not None:
                self._error("dataset_other_hub", key=other, url=raw[other])
            return None
        texts = {key: raw.get(key) for key in ("subset", "folder", "split")}
        for key, value in {"hf_hub_url": name, **texts}.items():
            if value is not None and (not isinstance(value, str) or not value):
                self._error("dataset_name_not_text", key=key)
        if self.errors:
            return None
        return HubSet(name, texts["subset"], texts["folder"], texts["split"] or "train")

    def _slices(self, raw: dict[str, Any]) -> tuple[Slice, ...]:
        value = raw.get("split")
        if value is None:
            return TRAIN
        slices = parse_split(value) if isinstance(value, str) else None
        if slices is None:
            self._error("dataset_split", key="split", value=value)
        return slices or TRAIN

    def _num_samples(self, raw: dict[str, Any]) -> int | None:
        value = raw.get("num_samples")
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            self._error("dataset_num_samples", key="num_samples", value=value)
            return None
        return value

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

    def _complete(self, formatting: str, columns: Columns, tags: Tags, given: bool) -> None:
        """What an all-or-nothing object leaves out and no row can do without."""
        if formatting != "alpaca":
            if columns.messages is None:
                self._error("dataset_columns_incomplete", key="columns", missing="messages")
            for key in ("role_tag", "content_tag", "user_tag", "assistant_tag") if given else ():
                if getattr(tags, key) is None:
                    self._error("dataset_tags_incomplete", key="tags", missing=key, default=getattr(Tags(), key))
            return
        if columns.prompt is None and columns.query is None:
            self._error("dataset_columns_incomplete", key="columns", missing="prompt")
        if columns.response is None:
            self._error("dataset_columns_incomplete", key="columns", missing="response")

    def _files(self, raw: dict[str, Any]) -> tuple[Path, ...]:
        name = raw.get("file_name")
        if not isinstance(name, str) or not name:
            self._error("dataset_no_file_name", key="file_name", keys=list(raw))
            return ()
        if self.remote:
            self._error("dataset_file_remote", key="file_name", path=name)
            return ()
        path = self.info_file.parent / name
        if path.is_dir():
            return self._folder(path)
        if not path.is_file():
            beside = listing(path.parent)
            similar = nearest(path.name, beside)
            code = with_near("dataset_file_missing", similar)
            self._error(code, key="file_name", path=str(path), nearest=similar, exists=beside)
        elif path.suffix.lower() not in READABLE:
            self._error("data_file_suffix", key="file_name", suffix=path.suffix or "no suffix", suffixes=list(READABLE))
        return (path,)

    def _folder(self, folder: Path) -> tuple[Path, ...]:
        files = sorted(item for item in folder.iterdir() if item.is_file() and not item.name.startswith("."))
        kinds = sorted({item.suffix.lower() for item in files})
        if not files:
            self._error("dataset_folder_empty", key="file_name", path=str(folder))
        elif len({".json" if kind == ".jsonl" else kind for kind in kinds}) > 1:
            self._error("dataset_folder_mixed", key="file_name", path=str(folder), suffixes=kinds)
        elif kinds[0] not in READABLE:
            self._error("data_file_suffix", key="file_name", suffix=kinds[0] or "no suffix", suffixes=list(READABLE))
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
