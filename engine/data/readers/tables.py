"""Rows of CSV and TSV files. Every value is the text between the delimiters, whatever it looks like."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from engine.data.readers.rowfile import Findings, Row
from engine.data.readers.source import UNDECODED, raw_lines
from engine.text import Phrase

_DELIMITERS = {",": Phrase("comma"), ";": Phrase("semicolon"), "\t": Phrase("tab")}
_WASTE = 20  # how many times the file may be read again because of quotes that are not closed


def csv_rows(path: Path, found: Findings) -> Iterator[Row]:
    """Rows of a .csv file; the header decides the delimiter."""
    return _rows(path, found, ",")


def tsv_rows(path: Path, found: Findings) -> Iterator[Row]:
    """Rows of a .tsv file; the header decides the delimiter."""
    return _rows(path, found, "\t")


def _rows(path: Path, found: Findings, usual: str) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    lines = _Lines(raw_lines(path, found))
    first = next((number for number, line in enumerate(lines.after(0)) if line.strip()), None)
    if first is None:
        raise found.fatal("data_file_blank")
    delimiter = _delimiter(lines[first], usual)
    if delimiter != usual:
        found.note("data_csv_delimiter", first + 1, delimiter=_DELIMITERS[delimiter])
    records = _records(lines, first, delimiter, found)
    _, header = next(records, (0, None))
    if header is None:
        raise found.fatal("data_csv_quote_unclosed", first + 1)
    _check_header(header, lines, first, found)
    width = len(header)
    for index, (line, values) in enumerate(records):
        if values is None:
            continue  # reported where it was found
        if len(values) != width:
            found.bad_row("data_csv_ragged", line, expected=width, found=len(values), columns=header)
        elif (place := _unusable(values)) is not None:
            code, position = place
            found.bad_row(code, line, _column_of(lines[line - 1], position), key=header[position])
        else:
            yield Row(dict(zip(header, values, strict=True)), found.file, line, index)


class _Lines:
    """The lines of a file from 0, read as far as they were asked for."""

    def __init__(self, source: Iterator[str]):
        self._source = source
        self._read: list[str] = []

    def __getitem__(self, number: int) -> str:
        return self._read[number]

    def after(self, start: int) -> Iterator[str]:
        """The lines from `start` on."""
        yield from islice(self._read, start, None)
        for line in self._source:
            self._read.append(line)
            yield line

    def count(self) -> int:
        """How many there are; reads all."""
        self._read += self._source
        return len(self._read)


def _records(lines: _Lines, start: int, delimiter: str, found: Findings) -> Iterator[tuple[int, list[str] | None]]:
    """`(line, values)` of every record, None for one that cannot be read.

    A quote that is not closed swallows what follows, so reading starts again on the line after the damaged one.
    """
    reader = csv.reader(lines.after(start), delimiter=delimiter, strict=True)
    done, wasted = 0, 0
    while True:
        line = start + done + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            taken = reader.line_num - done
            open_ended = taken > 1 or "end of data" in str(error)
            code = "data_csv_quote_unclosed" if open_ended else "data_csv_quote_stray"
            found.bad_row(code, line, _quote_column(lines[line - 1], delimiter))
            yield line, None
            if open_ended:
                wasted += taken
                if wasted > _WASTE * 1000 and wasted > _WASTE * (lines.count() + 1000):
                    found.bad_row("data_gave_up", line + 1, lines=lines.count() - line)
                    return
                start = line
                reader = csv.reader(lines.after(start), delimiter=delimiter, strict=True)
        else:
            if values is None:
                return
            if values:
                yield line, values
        done = reader.line_num


def _delimiter(header: str, usual: str) -> str:
    counts: Counter[str] = Counter()
    quoted = False
    for character in header:
        if character == '"':
            quoted = not quoted
        elif not quoted and character in _DELIMITERS:
            counts[character] += 1
    return max(_DELIMITERS, key=lambda delimiter: (counts[delimiter], delimiter == usual))


def _check_header(header: list[str], lines: _Lines, first: int, found: Findings) -> None:
    for position, name in enumerate(header):
        if UNDECODED.search(name):
            raise found.fatal("data_not_utf8", first + 1, _column_of(lines[first], position))
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        raise found.fatal("data_column_twice", first + 1, column=twice[0])


def _unusable(values: list[str]) -> tuple[str, int] | None:
    """The code and the position of the first value that holds undecodable bytes or NUL characters."""
    for position, value in enumerate(values):
        if value.isascii():
            if "\0" in value:
                return "data_nul", position
        elif UNDECODED.search(value):
            return "data_not_utf8", position
        elif "\0" in value:
            return "data_nul", position
    return None


def _column_of(line: str, position: int) -> int | None:
    """Where in the record's first line the damage is; None where it lies on a later line."""
    places = [place for place in (line.find("\0"), _first(line)) if place >= 0]
    return min(places) + 1 if places else None


def _first(line: str) -> int:
    match = UNDECODED.search(line)
    return match.start() if match else -1


def _quote_column(line: str, delimiter: str) -> int | None:
    """The last quote in the line that opens a field: the one that is not closed, as far as the line can tell."""
    for place in range(len(line) - 1, -1, -1):
        if line[place] == '"' and (place == 0 or line[place - 1] == delimiter):
            return place + 1
    return None
