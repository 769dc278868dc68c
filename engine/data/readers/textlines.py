"""Rows of a text file: every line, also an empty one, in a column named text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.data.readers.rowfile import Findings, Row
from engine.data.readers.source import UNDECODED, read_lines


def text_rows(path: Path, found: Findings) -> Iterator[Row]:
    """Rows of a .txt file, in the order of the file."""
    for number, line in read_lines(path, found):
        match = None if line.isascii() else UNDECODED.search(line)
        if match:
            found.bad_row("data_not_utf8", number, match.start() + 1)
        elif "\0" in line:
            found.bad_row("data_nul", number, line.index("\0") + 1)
        else:
            yield Row({"text": line}, found.file, number, number - 1)
