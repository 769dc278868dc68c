"""Rows of an Arrow file, in the stream format that `datasets` writes or the file format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.data.readers.parquet import batch_rows, check_names, reason_of
from engine.data.readers.rowfile import Findings, Row


def arrow_rows(path: Path, found: Findings) -> Iterator[Row]:
    """Rows with line 0; nulls are None. Raises DataError where the file is no Arrow file."""
    import pyarrow as pa

    failures = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError)
    if path.stat().st_size == 0:
        raise found.fatal("data_file_empty")
    with pa.memory_map(str(path)) as file:
        try:
            batches, names = _batches(pa, file)
        except failures as error:
            raise found.fatal("data_arrow_broken", reason=reason_of(error)) from error
        check_names(names, found)
        yield from batch_rows(batches, found, failures)


def _batches(pa: Any, file: Any) -> tuple[Iterator[Any], list[str]]:
    try:
        stream = pa.ipc.open_stream(file)
        return iter(stream), stream.schema.names
    except pa.ArrowInvalid:
        file.seek(0)
        whole = pa.ipc.open_file(file)
        return (whole.get_batch(number) for number in range(whole.num_record_batches)), whole.schema.names
