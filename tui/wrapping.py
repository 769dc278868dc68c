"""Lines of a given width. Chinese has no spaces to break at: its lines break between characters, but not before a
closing mark or after an opening one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from rich.cells import cell_len, get_character_cell_size, set_cell_size

from engine.text import one_line

_NOT_FIRST = "，。、；：？！）」』】》〉”’…·"
_NOT_LAST = "（「『【《〈“‘"
_REFUSED = "! "  # stands before what is wrong, and what is said of it below is indented as far
_WORD = re.compile(r"\s*\S+|\s+")


def wrap(text: str, cells: int) -> list[str]:
    """Lines of at most `cells` cells: those that fit stay as they are, the rest of others is indented alike."""
    return list(_lines(text, cells))


@lru_cache(maxsize=32)  # a widget asks how many there are, and then for the same ones
def _lines(text: str, cells: int) -> tuple[str, ...]:
    found: list[str] = []
    for line in text.split("\n"):
        found += [line] if cell_len(line) <= cells else _wrapped(line, max(cells, 2))
    return tuple(found)


def fit(text: object, cells: int) -> str:
    """One line of at most `cells` cells, with an ellipsis where something was cut."""
    line = one_line(text, 4 * max(cells, 1))
    if cell_len(line) <= cells:
        return line
    return set_cell_size(line, max(cells - 1, 0)).rstrip() + "…" if cells > 0 else ""


def pad(text: str, cells: int) -> str:
    """`text` cut or filled to exactly `cells` cells; a wide character counts two."""
    return set_cell_size(fit(text, cells), max(cells, 0))


def _wrapped(line: str, cells: int) -> Iterator[str]:
    begun = len(line) - len(line.removeprefix(_REFUSED).lstrip(" "))
    margin, now = " " * min(begun, cells // 3), ""
    for piece in _pieces(line):
        if not now or cell_len(now) + cell_len(piece.rstrip()) <= cells:
            now += piece
        else:
            yield now.rstrip()
            now = margin + piece.lstrip()
        while cell_len(now[: 4 * cells]) > cells:  # longer than any line; its end is not looked at again and again
            head = set_cell_size(now[: 4 * cells], cells).rstrip() or now[:1]
            yield head
            now = now[len(head) :]
    if now.strip():
        yield now.rstrip()


def _pieces(line: str) -> Iterator[str]:
    """What must stay on one line: a word with the spaces before it, a wide character with its marks."""
    for match in _WORD.finditer(line):
        piece, after_wide = "", False
        for character in match.group():
            wide = get_character_cell_size(character) == 2
            if (wide or after_wide) and piece.strip() and character not in _NOT_FIRST and piece[-1] not in _NOT_LAST:
                yield piece
                piece = ""
            piece += character
            after_wide = wide
        yield piece
