"""The folders that `datasets.DatasetDict.save_to_disk` writes and `load_from_disk` reads, without `datasets`.

    dataset_dict.json                       {"splits": ["train", …]}
    train/state.json, dataset_info.json     file names and column types
    train/data-00000-of-00001.arrow         an Arrow stream

A folder may also hold one dataset by itself, whose state.json then lies at its top; it counts as `train`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.errors import DataError, Problem

_DATA = "data-00000-of-00001.arrow"
Types = dict[str, Any]  # column: dtype, [dtype] for a list of them, or a dict of such members


def write_split(folder: Path, split: str, types: Types, chunks: Iterable[dict[str, Any]], fingerprint: str) -> None:
    """Write one split: Arrow arrays a column, chunk after chunk. Raises OSError."""
    import pyarrow as pa

    place = folder / split
    place.mkdir(parents=True)
    schema = pa.schema([(name, _arrow_type(kind)) for name, kind in types.items()])
    with pa.OSFile(str(place / _DATA), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for chunk in chunks:
            writer.write_batch(pa.record_batch([chunk[name] for name in types], schema=schema))
    features = {name: _feature(kind) for name, kind in types.items()}
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    state: dict[str, Any] = {
        "_data_files": [{"filename": _DATA}],
        "_fingerprint": fingerprint[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    _write_json(place / "dataset_info.json", info)
    _write_json(place / "state.json", state)


def write_index(folder: Path, splits: list[str]) -> None:
    """Name the splits, which makes the folder complete. Raises OSError."""
    _write_json(folder / "dataset_dict.json", {"splits": splits})


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The Arrow files of each split. Raises DataError tokenized_unreadable where this is no such folder."""
    try:
        if (folder / "dataset_dict.json").is_file():
            splits = {name: folder / name for name in _read_json(folder / "dataset_dict.json")["splits"]}
        else:
            splits = {"train": folder}
        found = {}
        for name, place in splits.items():
            state = _read_json(place / "state.json")
            if state.get("_indices_data_files"):
                raise DataError(Problem("tokenized_indices", {"folder": str(place)}, "tokenized_path"))
            found[name] = [place / part["filename"] for part in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(folder, error) from error
    return found


def read_split(folder: Path, files: list[Path]) -> Any:
    """The rows of a split as a pyarrow Table, mapped from its files. Raises DataError tokenized_unreadable."""
    import pyarrow as pa

    try:
        return pa.concat_tables([pa.ipc.open_stream(pa.memory_map(str(file))).read_all() for file in files])
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> DataError:
    reason = f"{type(error).__name__}: {error}"
    return DataError(Problem("tokenized_unreadable", {"folder": str(folder), "reason": reason}, "tokenized_path"))


def _arrow_type(kind: Any) -> Any:
    import pyarrow as pa

    if isinstance(kind, dict):
        return pa.struct([(name, _arrow_type(member)) for name, member in kind.items()])
    return pa.list_(_arrow_type(kind[0])) if isinstance(kind, list) else getattr(pa, kind)()


def _feature(kind: Any) -> dict[str, Any]:
    if isinstance(kind, dict):
        return {name: _feature(member) for name, member in kind.items()}
    if isinstance(kind, list):
        return {"feature": _feature(kind[0]), "_type": "Sequence"}  # as every version of `datasets` understands it
    return {"dtype": kind, "_type": "Value"}


def _read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
