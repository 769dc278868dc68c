"""Rows of a sound JSON array, read piece by piece: a large file is never in memory as a whole."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from engine.data.readers.jsontext import lone_surrogate, raw_decode
from engine.data.readers.rowfile import Findings, Row
from engine.data.readers.source import text_encoding

_BEGINNING = 1 << 16
_PIECE = 1 << 20
_LONGEST = 1 << 24  # characters of a row; a longer one is left to the reader of whole files
_SPACE = re.compile(r"[ \t\r\n]*")
_NEXT = re.compile(r"[ \t\r\n]*,[ \t\r\n]*(?=\{)")
_HEAD = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\[")


def starts_array(path: Path, found: Findings) -> bool:
    """Whether a file is UTF-8 and its text starts with [. Raises DataError for what is empty, compressed or binary."""
    if text_encoding(path, found) != "utf-8":
        return False
    with open(path, "rb") as stream:
        head = stream.read(_BEGINNING)
    if b"\r" in head and b"\n" not in head:
        return False  # lines that end in CR alone are counted by the reader of whole files
    return _HEAD.match(head) is not None


def streamed_rows(path: Path, found: Findings, whole: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    """The rows of an array for which `starts_array` holds.

    At the first thing that is not as it should be, `whole`, which knows how to go on and what to say, reads the file
    from its start; the rows handed out by then are not handed out again.
    """
    taken = 0
    with open(path, "rb") as stream:
        try:
            pieces = _Pieces(iter(lambda: stream.read(_PIECE), b""))
            for row in _sound_rows(pieces, found.file):
                taken += 1
                yield row
        except _UnsoundError:
            pass
        else:
            return
    yield from islice(whole(), taken, None)


class _UnsoundError(Exception):
    """The text is not an array of objects and nothing else."""


class _Pieces:
    """A window on the text of a file; `ended` once the file has no more."""

    def __init__(self, source: Iterator[bytes]):
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text, self.ended = "", False
        self.more(0)

    def more(self, position: int) -> None:
        """Drops what lies before `position` and takes as much again as there is, at least one piece."""
        kept = self.text[position:]
        if len(kept) > _LONGEST:
            raise _UnsoundError
        data = b"".join(islice(self._source, 1 + len(kept) // _PIECE))
        self.ended = not data
        try:
            self.text = kept + self._decoder.decode(data, self.ended)
        except UnicodeDecodeError:
            raise _UnsoundError from None


def _sound_rows(pieces: _Pieces, file: str) -> Iterator[Row]:
    while "[" not in pieces.text:
        pieces.more(0)
    position = pieces.text.index("[") + 1
    index, counted, line = 0, 0, 1
    while True:
        text = pieces.text
        escapes = "\\ud" in text or "\\uD" in text
        following = _SPACE.match(text, position) if index == 0 else _NEXT.match(text, position)
        while following is not None and text.startswith("{", following.end()):
            begin = following.end()
            try:
                value, end = raw_decode(text, begin)
            except json.JSONDecodeError:
                if pieces.ended:
                    raise _UnsoundError from None
                break
            except Exception:  # a key twice, a number out of range, nested too deeply: the other reader says it
                raise _UnsoundError from None
            if escapes and lone_surrogate(value):
                raise _UnsoundError
            line += text.count("\n", counted, begin)
            counted = begin
            yield Row(value, file, line, index)
            index, position = index + 1, end
            following = _NEXT.match(text, position)
        else:
            rest = _SPACE.match(text, position).end()  # type: ignore[union-attr]  # matches the empty string too
            if text.startswith("]", rest):
                _require_end(pieces, rest + 1)
                return
            if pieces.ended or (text[rest : rest + 1] not in ("", ",")) or len(text) - rest > _LONGEST:
                raise _UnsoundError
        line += text.count("\n", counted, position)
        pieces.more(position)
        position = counted = 0


def _require_end(pieces: _Pieces, position: int) -> None:
    while True:
        position = _SPACE.match(pieces.text, position).end()  # type: ignore[union-attr]
        if position < len(pieces.text):
            raise _UnsoundError
        if pieces.ended:
            return
        pieces.more(position)
        position = 0
