"""Lines of a given width. Chinese has no spaces to break at: its lines break between characters, but not before a
closing mark or after an opening one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len, get_character_cell_size, set_cell_size

_NOT_FIRST = "，。、；：？！）」』】》〉”’…·"
_NOT_LAST = "（「『【《〈“‘"
_WORD = re.compile(r"\s*\S+|\s+")


def wrap(text: str, cells: int) -> list[str]:
    """`text` in lines of at most `cells` cells; lines that fit stay as they are."""
    found: list[str] = []
    for line in text.split("\n"):
        found += [line] if cell_len(line) <= cells else _wrapped(line, max(cells, 2))
    return found


def _wrapped(line: str, cells: int) -> Iterator[str]:
    now = ""
    for piece in _pieces(line):
        if not now or cell_len(now) + cell_len(piece.rstrip()) <= cells:
            now += piece
        else:
            yield now.rstrip()
            now = piece.lstrip()
        while cell_len(now) > cells:  # longer than any line
            head = set_cell_size(now, cells).rstrip() or now[:1]
            yield head
            now = now[len(head) :]
    if now.strip():
        yield now.rstrip()


def _pieces(line: str) -> Iterator[str]:
    """What must stay on one line: a word with the spaces before it, a wide character with its marks."""
    for match in _WORD.finditer(line):
        piece = ""
        for character in match.group():
            wide = get_character_cell_size(character) == 2
            last = piece[-1:]
            after_wide = bool(last) and get_character_cell_size(last) == 2
            if piece.strip() and (wide or after_wide) and character not in _NOT_FIRST and last not in _NOT_LAST:
                yield piece
                piece = ""
            piece += character
        yield piece
