"""Rows of a parquet file, in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.data.readers.rowfile import Findings, Row

_BATCH = 1024


def parquet_rows(path: Path, found: Findings) -> Iterator[Row]:
    """Rows with line 0; nulls are None. Raises DataError where the file is no parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # pyarrow raises ArrowException and, for single values, ValueError (bad UTF-8) and OverflowError (dates).
    failures = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError)
    if path.stat().st_size == 0:
        raise found.fatal("data_file_empty")
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True)
        names = table.schema_arrow.names
    except failures as error:
        raise found.fatal("data_parquet_broken", reason=_reason(error)) from error
    with table:
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise found.fatal("data_column_twice", column=twice[0])
        index = 0
        batches = table.iter_batches(batch_size=_BATCH)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except failures as error:
                found.bad_row("data_parquet_rows_broken", 0, row=index + 1, reason=_reason(error))
                return
            try:
                rows: list[dict[str, Any] | Exception] = batch.to_pylist()
            except failures:
                rows = [_one(batch, place, failures) for place in range(batch.num_rows)]
            for row in rows:
                if isinstance(row, dict):
                    yield Row(row, found.file, 0, index)
                else:
                    found.bad_row("data_parquet_value_broken", 0, row=index + 1, reason=_reason(row))
                index += 1


def _one(batch: Any, place: int, failures: tuple[type[Exception], ...]) -> dict[str, Any] | Exception:
    try:
        row: dict[str, Any] = batch.slice(place, 1).to_pylist()[0]
    except failures as error:
        return error
    return row


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
