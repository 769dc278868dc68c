"""Tokenised rows on disk, so that the same data, template and tokenizer are encoded once.

One entry is `<key>.arrow` (for each row a list of its tokens, its labels and, where packed, its samples' lengths; read
by memory map) and `<key>.json` (the report and the SHA-256 of the former). An entry that does not fit its checksum
counts as absent.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Any, BinaryIO

import numpy as np

from engine.data.encoded import Encoded, EncodeReport, Prompts


def cache_key(parts: dict[str, Any]) -> str:
    """SHA-256 (hex) of JSON values in any order of keys. The caller names everything that the tokens depend on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True, allow_nan=False).encode()).hexdigest()


def store(folder: Path, key: str, tokens: Encoded | Prompts) -> None:
    """Write the entry, whole or not at all; folder 0700, files 0600. Raises OSError."""
    import pyarrow as pa

    label_offsets = tokens.label_offsets if isinstance(tokens, Prompts) else tokens.offsets
    columns = {
        name: pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))
        for name, values, offsets in (
            ("input_ids", tokens.input_ids, tokens.offsets),
            ("labels", tokens.labels, label_offsets),
        )
    }
    about: dict[str, Any] = {"kind": type(tokens).__name__, "report": tokens.report.as_dict()}
    if isinstance(tokens, Encoded) and tokens.parts is not None:
        inside = np.searchsorted(tokens.parts, tokens.offsets)
        columns["parts"] = pa.LargeListArray.from_arrays(pa.array(inside), pa.array(np.diff(tokens.parts)))
        about["neat"] = tokens.neat
    table = pa.table(columns)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write_table(file: BinaryIO) -> None:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(len(tokens), 1))  # one chunk: read back without a copy

    data, description = _paths(folder, key)
    about["sha256"] = _replace(data, write_table)
    body = json.dumps(about).encode()
    _replace(description, lambda file: file.write(body))


def load(folder: Path, key: str) -> Encoded | Prompts | None:
    """The entry, its arrays mapped from the file; None where it is absent, damaged or written by another version."""
    import pyarrow as pa

    data, description = _paths(folder, key)
    try:
        about = json.loads(description.read_bytes())
        if _checksum(data) != about["sha256"]:
            return None
        table = pa.ipc.open_file(pa.memory_map(str(data))).read_all()
        columns = {name: table.column(name).combine_chunks() for name in table.column_names}
        report = EncodeReport.from_dict(about["report"])
        ids, labels = columns["input_ids"], columns["labels"]
        arrays = (ids.values.to_numpy(), ids.offsets.to_numpy(), labels.values.to_numpy(), labels.offsets.to_numpy())
        if about["kind"] == "Prompts":
            return Prompts(*arrays, report)
        parts = None
        if "parts" in columns:
            parts = np.concatenate([[0], np.cumsum(columns["parts"].values.to_numpy())]).astype(np.int64)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None
    return Encoded(arrays[0], arrays[2], arrays[1], report, parts, about.get("neat", False))


def _paths(folder: Path, key: str) -> tuple[Path, Path]:
    return folder / f"{key}.arrow", folder / f"{key}.json"


def _replace(path: Path, write: Callable[[BinaryIO], object]) -> str:
    """Write a file beside `path`, then put it in its place; the SHA-256 of what was written."""
    handle, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp creates it 0600
    temporary = Path(name)
    try:
        with open(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        checksum = _checksum(temporary)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return checksum


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
