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
        raise found.fatal("data_parquet_broken", reason=reason_of(error)) from error
    with table:
        check_names(names, found)
        yield from batch_rows(table.iter_batches(batch_size=_BATCH), found, failures)


def check_names(names: list[str], found: Findings) -> None:
    """Raises DataError where two columns have one name."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise found.fatal("data_column_twice", column=twice[0])


def batch_rows(batches: Iterator[Any], found: Findings, failures: tuple[type[Exception], ...]) -> Iterator[Row]:
    """The rows of record batches; what raises one of `failures` is a bad row, or the end where a whole batch does."""
    index = 0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except failures as error:
            found.bad_row("data_parquet_rows_broken", 0, row=index + 1, reason=reason_of(error))
            return
        for start in range(0, batch.num_rows, _BATCH):
            for row in _rows(batch.slice(start, _BATCH), failures):
                if isinstance(row, dict):
                    yield Row(row, found.file, 0, index)
                else:
                    found.bad_row("data_parquet_value_broken", 0, row=index + 1, reason=reason_of(row))
                index += 1


def _rows(batch: Any, failures: tuple[type[Exception], ...]) -> list[dict[str, Any] | Exception]:
    try:
        rows: list[dict[str, Any] | Exception] = batch.to_pylist()
    except failures:
        rows = [_one(batch, place, failures) for place in range(batch.num_rows)]
    return rows


def _one(batch: Any, place: int, failures: tuple[type[Exception], ...]) -> dict[str, Any] | Exception:
    try:
        row: dict[str, Any] = batch.slice(place, 1).to_pylist()[0]
    except failures as error:
        return error
    return row


def reason_of(error: Exception) -> str:
    """The first line of what a library said."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
