"""From the bytes of a text file to characters, never guessing: UTF-8, or UTF-16/32 where a byte order mark says so."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path

from engine.data.readers.rowfile import Findings
from engine.text import Phrase

_HEAD = 65536
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", Phrase("zip (or a spreadsheet such as .xlsx)")),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
    (b"7z\xbc\xaf", "7-zip"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"%PDF", "PDF"),
    (b"\xd0\xcf\x11\xe0", Phrase("an old office document")),
    (b"SQLite format 3", "SQLite"),
)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY_SHARE = 0.05  # text holds no NUL at all; a stray one is a bad row and not a binary file
UNDECODED = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of bytes that are not UTF-8


def text_encoding(path: Path, found: Findings) -> str:
    """`utf-8`, `utf-16` or `utf-32`. Raises DataError for what is empty, compressed or binary."""
    with open(path, "rb") as stream:
        head = stream.read(_HEAD)
    if not head:
        raise found.fatal("data_file_empty")
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            raise found.fatal("data_file_magic", kind=kind)
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    if head.count(0) > len(head) * _BINARY_SHARE:
        raise found.fatal("data_file_binary")
    return "utf-8"


def read_text(path: Path, found: Findings) -> tuple[str, bool]:
    """The whole file without its byte order mark, and whether `UNDECODED` characters stand for bytes in it."""
    encoding = text_encoding(path, found)
    data = path.read_bytes()
    if encoding != "utf-8":
        return _decode_wide(data, encoding, found), True
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return data.decode(errors="surrogateescape"), True


def raw_lines(path: Path, found: Findings) -> Iterator[str]:
    """Every line with its end, as `io.StringIO(text, newline="")` splits the text of `read_text`, read as needed."""
    if text_encoding(path, found) != "utf-8":
        yield from io.StringIO(read_text(path, found)[0], newline="")
        return
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        yield from stream


def read_lines(path: Path, found: Findings) -> Iterator[tuple[int, str]]:
    """`(line number, text)` of every line, ends stripped; bytes that are not UTF-8 become `UNDECODED` characters.

    Lines end at LF, CRLF or CR. Holds one line at a time in memory (UTF-16 and UTF-32: the file).
    """
    if text_encoding(path, found) != "utf-8":
        text, _ = read_text(path, found)
        parts = re.split("\r\n|\n|\r", text)
        yield from enumerate(parts if parts[-1] else parts[:-1], 1)
        return
    with open(path, "rb") as stream:
        number = 0
        for raw in stream:
            if number == 0:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            raw = raw.rstrip(b"\r\n")
            for part in raw.split(b"\r") if b"\r" in raw else (raw,):
                number += 1
                try:
                    yield number, part.decode()
                except UnicodeDecodeError:
                    yield number, part.decode(errors="surrogateescape")


def _decode_wide(data: bytes, encoding: str, found: Findings) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        # Lone surrogates stay and are reported with their row; half a character at the end is dropped with a note.
        text = data.decode(encoding, errors="replace")
        found.note("data_file_wide_damage", encoding=encoding.upper(), count=text.count("\ufffd"))
        return text
