"""Rows of JSON arrays and of JSON lines, with the place and the cause of every row that is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine.data.readers.jsonstream import starts_array, streamed_rows
from engine.data.readers.jsontext import BrokenJSONError, decode, decode_near, lone_surrogate, resync, row_keys
from engine.data.readers.rowfile import Findings, Row
from engine.data.readers.source import UNDECODED, read_lines, read_text
from engine.text import Phrase, verbatim

_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_NEXT = re.compile(r"[ \t\r\n]*,[ \t\r\n]*(?=\{)")
_BUDGET = 500_000_000  # characters looked at while finding the way after broken rows: some seconds


class _Mark(NamedTuple):
    """A position, the line it is on (from 1), and where the newline before it is (-1: none)."""

    position: int
    line: int
    newline: int

    def moved(self, text: str, position: int) -> _Mark:
        lines = text.count("\n", self.position, position)
        newline = text.rfind("\n", self.position, position) if lines else self.newline
        return _Mark(position, self.line + lines, newline)


_START = _Mark(0, 1, -1)


def jsonl_rows(path: Path, found: Findings) -> Iterator[Row]:
    """Rows of a .jsonl file, one line in memory at a time; a JSON array under that name is read too, with a note."""
    if _is_array(path, found):
        found.note("data_json_array_as_jsonl")
        return _array_file(path, found)
    return _line_rows(path, found)


def json_rows(path: Path, found: Findings) -> Iterator[Row]:
    """Rows of a .json file: an array of objects, or JSON lines (with a note). Raises DataError for anything else."""
    if starts_array(path, found):
        return streamed_rows(path, found, lambda: _array_file(path, found))
    text, dirty = _text(path, found)
    start = _SPACE.match(text).end()  # type: ignore[union-attr]  # matches the empty string too
    if start == len(text):
        raise found.fatal("data_file_blank")
    if text[start] == "[":
        return _array_rows(text, start, dirty, found)
    place = _place(text, start)
    if text[start] != "{":
        raise found.fatal("data_json_not_rows", *place)
    try:
        value, end = decode(text, start)
    except BrokenJSONError as broken:
        if _looks_like_lines(text, start):
            found.note("data_jsonl_as_json")
            return _line_rows(path, found)
        raise found.fatal(broken.code, *_place(text, broken.position), **broken.params) from None
    end = _SPACE.match(text, end).end()  # type: ignore[union-attr]
    if end == len(text):
        raise _object_error(value, place, found)
    if "\n" in text[start:end].strip():
        raise found.fatal("data_json_several_objects", *_place(text, end))
    found.note("data_jsonl_as_json")
    return _line_rows(path, found)


def _array_file(path: Path, found: Findings) -> Iterator[Row]:
    text, dirty = _text(path, found)
    return _array_rows(text, _SPACE.match(text).end(), dirty, found)  # type: ignore[union-attr]


def _text(path: Path, found: Findings) -> tuple[str, bool]:
    text, dirty = read_text(path, found)
    if "\r" in text and "\n" not in text:
        text = text.replace("\r", "\n")  # JSON strings hold no raw CR, so this changes line numbers only
    return text, dirty


def _is_array(path: Path, found: Findings) -> bool:
    """Whether a .jsonl file is one JSON array, rather than lines of which the first happens to be a list."""
    lines = (text for _, line in read_lines(path, found) if (text := line.strip("\ufeff \t")))
    first = next(lines, None)
    if first is None:
        raise found.fatal("data_file_blank")
    if not first.startswith("["):
        return False
    try:
        _, end = decode(first, 0)
    except BrokenJSONError:
        return True
    return end == len(first) and next(lines, None) is None


def _looks_like_lines(text: str, start: int) -> bool:
    """Whether one of the next few lines is an object of its own, so that only the first row is broken."""
    for line in text[start : start + 1_000_000].split("\n")[1:20]:
        stripped = line.strip()
        if stripped.startswith("{"):
            try:
                _, end = decode(stripped, 0)
            except BrokenJSONError:
                continue
            if end == len(stripped):
                return True
    return False


def _line_rows(path: Path, found: Findings) -> Iterator[Row]:
    index = -1
    for number, line in read_lines(path, found):
        text = line.strip("\ufeff \t")
        if not text:
            continue
        index += 1
        if not text.isascii() and (match := UNDECODED.search(line)):
            found.bad_row("data_not_utf8", number, match.start() + 1)
            continue
        try:
            value, end = decode(text, 0)
            if end != len(text):
                raise BrokenJSONError("data_json_two_rows" if text[end:].strip()[:1] == "{" else "data_json_extra", end)
        except BrokenJSONError as broken:
            offset = line.index(text[0])
            found.bad_row(broken.code, number, offset + broken.position + 1, **broken.params)
            continue
        if (type(value) is dict and "\\u" not in text) or _usable(value, text, end, _Mark(0, number, -1), found):
            yield Row(value, found.file, number, index)


def _usable(value: Any, text: str, end: int, mark: _Mark, found: Findings) -> bool:
    if not isinstance(value, dict):
        found.bad_row("data_row_not_object", mark.line, type=type_name(value))
        return False
    match = _SURROGATE.search(text, mark.position, end)
    if match and lone_surrogate(value):
        found.bad_row("data_json_lone_surrogate", *_place(text, match.start(), mark))
        return False
    return True


def _array_rows(text: str, start: int, dirty: bool, found: Findings) -> Iterator[Row]:
    escapes = "\\ud" in text or "\\uD" in text
    position, index, spent = start + 1, -1, 0
    mark = _START
    known: set[str] = set()
    guessed: set[str] = set()
    read = decode
    while True:
        if text[position : position + 1] != "{":
            position = _SPACE.match(text, position).end()  # type: ignore[union-attr]
        mark = mark.moved(text, position)
        if position >= len(text):
            found.bad_row("data_json_array_unclosed", mark.line)
            return
        if text[position] == "]":
            position = _after_end(text, position, mark, known or guessed, found)
            if position < 0:
                return
            continue
        index += 1
        begin = position
        try:
            value, position = read(text, begin)
        except BrokenJSONError as broken:
            read = decode_near
            guessed = guessed or row_keys(text, begin)
            position, cost = resync(text, begin, known or guessed)
            spent += cost
            _report(text, mark, position, broken, found)
            if spent > _BUDGET and position >= 0:
                found.bad_row("data_gave_up", mark.line, lines=text.count("\n", position))
                return
            if position < 0:
                return
        else:
            if dirty and (match := UNDECODED.search(text, begin, position)):
                found.bad_row("data_not_utf8", *_place(text, match.start(), mark))
            elif not isinstance(value, dict) or escapes:
                if _usable(value, text, position, mark, found):
                    yield Row(value, found.file, mark.line, index)
            else:
                yield Row(value, found.file, mark.line, index)
            if not known and isinstance(value, dict):
                known = set(value)
        following = _NEXT.match(text, position)
        position = following.end() if following else _separator(text, position, found)


def _separator(text: str, position: int, found: Findings) -> int:
    """The position after the comma, or of the closing bracket, that follows a row."""
    position = _SPACE.match(text, position).end()  # type: ignore[union-attr]
    if position >= len(text) or text[position] == "]":
        return position
    if text[position] != ",":
        if text[position] == "{" and not any(note.code == "data_json_comma_missing" for note in found.notes):
            found.note("data_json_comma_missing", *_place(text, position))
        return position
    following = _SPACE.match(text, position + 1).end()  # type: ignore[union-attr]
    if text[following : following + 1] == "]":
        found.note("data_json_comma_last", *_place(text, position))
    return position + 1


def _report(text: str, mark: _Mark, position: int, broken: BrokenJSONError, found: Findings) -> None:
    code, where = broken.code, broken.position
    match = UNDECODED.search(text, mark.position, where + 1)
    if match:
        code, where = "data_not_utf8", match.start()
    elif position < 0 and code in ("data_json_string_unclosed", "data_json_syntax"):
        code = "data_json_truncated"
    found.bad_row(code, *_place(text, where, mark), **broken.params)


def _after_end(text: str, position: int, mark: _Mark, known: set[str], found: Findings) -> int:
    """Where reading goes on after the ] at `position`: nowhere (-1), unless it closes a list inside a broken row."""
    after = _SPACE.match(text, position + 1).end()  # type: ignore[union-attr]
    if after == len(text):
        return -1
    following = resync(text, position, known)[0] if text[after] in ",}]" else -1
    if following < 0:
        found.bad_row("data_json_after_end", *_place(text, after, mark))
    elif not found.bad:
        found.note("data_json_bracket_early", *_place(text, position, mark))
    return following


def _object_error(value: dict[str, Any], place: tuple[int, int], found: Findings) -> Exception:
    lists = [name for name, item in value.items() if isinstance(item, list)]
    if len(lists) > 1 and len(lists) == len(value):
        return found.fatal("data_json_columns", *place, keys=lists[:8])
    if lists:
        return found.fatal("data_json_object_with_list", *place, name=lists[0])
    return found.fatal("data_json_object", *place, keys=list(value)[:8])


def _place(text: str, position: int, known: _Mark = _START) -> tuple[int, int]:
    """Line and column of a position, both from 1. Counts from `known`: a file can be one long line."""
    mark = known.moved(text, position)
    return mark.line, position - mark.newline


def type_name(value: object) -> Phrase:
    """The JSON word for a value's type."""
    return _TYPE_NAMES.get(type(value)) or verbatim("null" if value is None else type(value).__name__)


_TYPE_NAMES = {
    dict: Phrase("an object"),
    list: Phrase("a list"),
    str: Phrase("text"),
    bool: Phrase("true/false"),
    int: Phrase("a number"),
    float: Phrase("a number"),
}
