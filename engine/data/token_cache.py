"""Tokenised rows on disk, so that the same data, template and tokenizer are encoded once.

One entry is `<key>.arrow` (two columns, a row a sample; read by memory map) and `<key>.json` (the report and the
SHA-256 of the former). An entry that does not fit its checksum counts as absent.
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

from engine.data.encoded import Encoded, EncodeReport


def cache_key(parts: dict[str, Any]) -> str:
    """SHA-256 (hex) of JSON values in any order of keys. The caller names everything that the tokens depend on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True, allow_nan=False).encode()).hexdigest()


def store(folder: Path, key: str, encoded: Encoded) -> None:
    """Write the entry, whole or not at all; folder 0700, files 0600. Raises OSError."""
    import pyarrow as pa

    columns = {
        name: pa.LargeListArray.from_arrays(pa.array(encoded.offsets), pa.array(values))
        for name, values in (("input_ids", encoded.input_ids), ("labels", encoded.labels))
    }
    table = pa.table(columns)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write_table(file: BinaryIO) -> None:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(len(encoded), 1))  # one chunk: read back without a copy

    data, description = _paths(folder, key)
    checksum = _replace(data, write_table)
    body = json.dumps({"sha256": checksum, "report": encoded.report.as_dict()}).encode()
    _replace(description, lambda file: file.write(body))


def load(folder: Path, key: str) -> Encoded | None:
    """The entry, its arrays mapped from the file; None where it is absent, damaged or written by another version."""
    import pyarrow as pa

    data, description = _paths(folder, key)
    try:
        raw = json.loads(description.read_bytes())
        if _checksum(data) != raw["sha256"]:
            return None
        table = pa.ipc.open_file(pa.memory_map(str(data))).read_all()
        ids, labels = (table.column(name).combine_chunks() for name in ("input_ids", "labels"))
        report = EncodeReport.from_dict(raw["report"])
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None
    return Encoded(ids.values.to_numpy(), labels.values.to_numpy(), ids.offsets.to_numpy(), report)


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
