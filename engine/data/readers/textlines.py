"""Rows of a text file: every line, also an empty one, in a column named text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.data.readers.rowfile import Findings, Row
from engine.data.readers.source import UNDECODED, read_lines


def text_rows(path: Path, found: Findings) -> Iterator[Row]:
    """Rows of a .txt file. What follows the last line end is no row where it is empty."""
    held: tuple[int, str] | None = None
    for number, line in read_lines(path, found):
        if held is not None:
            yield from _row(*held, found)
        held = (number, line)
    if held is not None and held[1]:
        yield from _row(*held, found)


def _row(number: int, line: str, found: Findings) -> Iterator[Row]:
    match = None if line.isascii() else UNDECODED.search(line)
    if match:
        found.bad_row("data_not_utf8", number, match.start() + 1)
    elif "\0" in line:
        found.bad_row("data_nul", number, line.index("\0") + 1)
    else:
        yield Row({"text": line}, found.file, number, number - 1)
