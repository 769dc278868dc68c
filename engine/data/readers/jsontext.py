"""JSON decoding that refuses what would change a value, names the cause, and finds the way after a broken row."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[{}\[\]:,]|NaN|-?Infinity', re.DOTALL)
_ROW_END = re.compile(r"\s*(?:,\s*(?:[{\]]|\Z)|\]\s*\Z)")
_AFTER = re.compile(r"\s*(?:[,\]]|\Z)")
_FIRST_KEY = re.compile(r'\{\s*"((?:[^"\\\n]|\\.)*)"')
_LIST_MEMBER = re.compile(r":\s*\[\s*\Z")
_WINDOW = 1 << 14
_REACH = 1 << 20  # a broken row longer than this is not closed by counting brackets
_CUT_CODES = ("data_json_string_unclosed", "data_json_truncated")  # what cutting a valid text leads to
_ATTEMPTS = 2000  # candidates tried for the next row after one whose quotes or brackets do not match


class BrokenJSONError(Exception):
    """Text that is no usable JSON: a problem code, the position in the text, and the problem's parameters."""

    def __init__(self, code: str, position: int, **params: Any):
        super().__init__(code)
        self.code, self.position, self.params = code, position, params


class _RefusedError(Exception):
    """Raised by the decoder's hooks, which do not know where they are."""


class _DuplicateKeyError(_RefusedError):
    pass


class _NotFiniteError(_RefusedError):
    pass


class _OutOfRangeError(_RefusedError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise _DuplicateKeyError
    return row


def _constant(token: str) -> Any:
    raise _NotFiniteError(token)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _OutOfRangeError
    return value


raw_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float).raw_decode


def decode(text: str, begin: int) -> tuple[Any, int]:
    """The JSON value that starts right at `begin`, and the position after it. Raises BrokenJSONError."""
    try:
        return raw_decode(text, begin)
    except json.JSONDecodeError as error:
        raise _explained(text, error) from None
    except _DuplicateKeyError:
        name, position = _duplicate(text, begin)
        raise BrokenJSONError("data_json_duplicate_key", position, name=name) from None
    except _NotFiniteError as error:
        position = next((m.start() for m in _TOKEN.finditer(text, begin) if m.group()[-1] in "Ny"), begin)
        raise BrokenJSONError("data_json_not_finite", position, token=str(error)) from None
    except RecursionError:
        raise BrokenJSONError("data_json_too_deep", begin) from None
    except (_OutOfRangeError, ValueError):  # ValueError: an integer of more digits than Python converts
        raise BrokenJSONError("data_json_number", begin) from None


def decode_near(text: str, begin: int) -> tuple[Any, int]:
    """`decode`, by way of copies of a part of the text: an error in a long text costs the decoder all of it."""
    size = _WINDOW
    while True:
        window = text[begin : begin + size]
        whole = begin + size >= len(text)
        try:
            value, end = decode(window, 0)
        except BrokenJSONError as broken:
            cut = broken.code in _CUT_CODES or broken.position > len(window) - 16
            if whole or not cut:
                raise BrokenJSONError(broken.code, begin + broken.position, **broken.params) from None
        else:
            if whole or end < len(window):
                return value, begin + end
        size *= 8


def lone_surrogate(value: Any) -> bool:
    """Whether a string in `value`, however deep, holds half of a surrogate pair."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, str) and not item.isascii():
            try:
                item.encode()
            except UnicodeEncodeError:
                return True
    return False


def key_places(text: str, begin: int = 0) -> Iterator[tuple[int, str, int]]:
    """`(depth, key, position)` of every object key in valid JSON text; the outermost object has depth 1."""
    depth, last = 0, None
    for match in _TOKEN.finditer(text, begin):
        token = match.group()
        if token in "{[":
            depth += 1
        elif token in "}]":
            depth -= 1
            if depth == 0:
                return
        elif token == ":" and last is not None:
            yield depth, json.loads(last.group()), last.start()
        last = match if token[0] == '"' else None


def resync(text: str, begin: int, known: set[str]) -> tuple[int, int]:
    """Where reading can go on after a broken row of an array, and how many characters were looked at to find it.

    The position is after the row (at its comma) or at the next row; -1 where nothing more can be read. `known` are
    the keys of rows: a nested object must not be taken for one.
    """
    closing = _closing(text, begin)
    balanced = closing >= 0 and _ROW_END.match(text, closing) is not None
    stop = closing if balanced else len(text)
    # Quotes that do not match can hide the rows that follow, so a row inside what seems to be this one comes first.
    spent, attempts = min(stop - begin, _REACH), 0
    position = text.find("{", begin + 1, stop)
    while position >= 0 and attempts < _ATTEMPTS:
        attempts += 1
        if _before(text, position) != ":":
            spent += _WINDOW
            if _is_row(text, position, known):
                return position, spent
        position = text.find("{", position + 1, stop)
    return (closing if balanced else -1), spent


def row_keys(text: str, begin: int) -> set[str]:
    """What rows seem to have as keys, for a broken row at `begin` that comes before any good one; never empty.

    The longest of the objects that follow is a row, unless objects like it are the items of a list inside a row.
    """
    longest: dict[frozenset[str], int] = {}
    position, attempts = text.find("{", begin + 1), 0
    while position >= 0 and attempts < 64:
        attempts += 1
        try:
            value, end = decode_near(text, position)
        except BrokenJSONError:
            end = position + 1
        else:
            keys = frozenset(value)
            nested = _LIST_MEMBER.search(text, max(begin, position - 100), position) is not None
            longest[keys] = -1 if nested or longest.get(keys) == -1 else max(longest.get(keys, 0), end - position)
        position = text.find("{", end)
    keys = max(longest, key=lambda keys: longest[keys], default=frozenset())
    if longest.get(keys, -1) >= 0:
        return set(keys)
    first = _FIRST_KEY.match(text, begin)
    return {first.group(1) if first else "\0"}


def _is_row(text: str, position: int, known: set[str]) -> bool:
    try:
        value, end = decode_near(text, position)
    except BrokenJSONError:
        return False
    return not known.isdisjoint(value) and _AFTER.match(text, end) is not None


def _before(text: str, position: int) -> str:
    """The last character before `position` that is no white space."""
    while position > 0 and text[position - 1].isspace():
        position -= 1
    return text[position - 1] if position > 0 else ""


def _closing(text: str, begin: int) -> int:
    """The position after the bracket that closes the one at `begin`, counting brackets outside strings; -1 if none."""
    if text[begin] not in "{[":
        match = re.compile(r"[^,\]\n]*").match(text, begin)
        return match.end() if match else -1
    depth = 0
    for match in _TOKEN.finditer(text, begin, begin + _REACH):
        token = match.group()
        if token in "{[":
            depth += 1
        elif token in "}]":
            depth -= 1
            if depth == 0:
                return match.end()
    return -1


def _explained(text: str, error: json.JSONDecodeError) -> BrokenJSONError:
    """The decoder's complaint as a cause that a person can act on."""
    position, said = error.pos, error.msg
    here = text[position : position + 1]
    before = _before(text, position)
    if said.startswith("Unterminated string"):
        return BrokenJSONError("data_json_string_unclosed", position)
    if said.startswith("Invalid control character"):
        return BrokenJSONError("data_json_control", position, character=f"U+{ord(here or chr(0)):04X}")
    if "escape" in said:
        return BrokenJSONError("data_json_escape", position)
    if here in ("", "\n") and not text[position:].strip():
        return BrokenJSONError("data_json_truncated", position)
    if "trailing comma" in said or (before == "," and here in ("}", "]")):
        return BrokenJSONError("data_json_comma_trailing", position)
    if here == "'":
        return BrokenJSONError("data_json_single_quotes", position)
    return BrokenJSONError("data_json_syntax", position, reason=said[:1].lower() + said[1:], character=here)


def _duplicate(text: str, begin: int) -> tuple[str, int]:
    """The first key that its object holds twice, and where its second occurrence is."""
    seen: list[set[str]] = []
    last = None
    for match in _TOKEN.finditer(text, begin):
        token = match.group()
        if token in "{[":
            seen.append(set())
        elif token in "}]":
            seen.pop()
        elif token == ":" and last is not None:
            name = json.loads(last.group())
            if name in seen[-1]:
                return name, last.start()
            seen[-1].add(name)
        last = match if token[0] == '"' else None
    return "", begin
