"""Rows out of files, exactly as the files hold them: no value is converted, no row shifted, no bad row passed over.

A row that cannot be read becomes a Problem with file, line and column, and reading goes on with the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from engine.data.readers.arrow import arrow_rows
from engine.data.readers.jsonrows import json_rows, jsonl_rows
from engine.data.readers.parquet import parquet_rows
from engine.data.readers.rowfile import Findings, Row, RowFile
from engine.data.readers.tables import csv_rows, tsv_rows
from engine.data.readers.textlines import text_rows
from engine.errors import DataError, Problem

__all__ = ["READABLE", "SUFFIXES", "Row", "RowFile", "read_rows"]

_READERS: dict[str, Callable[[Path, Findings], Iterator[Row]]] = {
    ".json": json_rows,
    ".jsonl": jsonl_rows,
    ".csv": csv_rows,
    ".tsv": tsv_rows,
    ".parquet": parquet_rows,
    ".arrow": arrow_rows,
    ".txt": text_rows,
}
READABLE = tuple(_READERS)
SUFFIXES = READABLE[:5]  # of files in which a person keeps columns: what is offered and what `convert` takes


def read_rows(path: Path, *, limit: int | None = None) -> RowFile:
    """The rows of a .json, .jsonl, .csv, .tsv, .parquet, .arrow or .txt file, at most the first `limit` readable ones.

    CSV values are all `str`; JSON and parquet nulls are None; every line of a .txt file is a row with the
    column `text`. Raises DataError, here or while iterating, where the file as a whole cannot be used.
    """
    found = Findings(path)
    reader = _READERS.get(path.suffix.lower())
    if not path.exists():
        raise found.fatal("data_file_missing")
    if not path.is_file():
        raise found.fatal("data_file_not_a_file")
    if reader is None:
        raise found.fatal("data_file_suffix", suffix=path.suffix or "no suffix", suffixes=list(READABLE))
    return RowFile(path, found, _guarded(reader, path, found), limit)


def _guarded(reader: Callable[[Path, Findings], Iterator[Row]], path: Path, found: Findings) -> Iterator[Row]:
    try:
        rows = 0
        for row in reader(path, found):
            rows += 1
            yield row
    except OSError as error:
        raise DataError(Problem("data_file_unreadable", {"reason": str(error)}, file=found.file)) from error
    if not rows and not found.bad:
        raise found.fatal("data_file_no_rows")
