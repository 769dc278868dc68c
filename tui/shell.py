"""Commands in lines of a width, so that all of them together can be copied into a shell."""

from __future__ import annotations

import re

from rich.cells import cell_len

# A word as the shell reads it: quoted parts may hold blanks, and a backslash takes the next character along.
_WORD = re.compile(r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+""")
INDENT = "    "
AFTER = " \\"


def command_lines(command: str, cells: int) -> list[str]:
    """`command` in lines that go on after a backslash. Only between words: one that is longer than a line stays whole,
    since a path that was broken in two is no path any more."""
    parts = _parts(_WORD.findall(command))
    lines: list[str] = []
    now = ""
    for number, part in enumerate(parts, 1):
        longer = f"{now} {part}" if now else part
        if now and _width(longer) + (0 if number == len(parts) else len(AFTER)) > cells:
            lines.append(now + AFTER)
            now = INDENT + part
        else:
            now = longer
    return "\n".join([*lines, now]).split("\n")


def _width(text: str) -> int:
    """Of its longest line: a quoted word may hold several."""
    return max(map(cell_len, text.split("\n")))


def _parts(words: list[str]) -> list[str]:
    """An option and its value belong together."""
    parts: list[str] = []
    option = False
    for word in words:
        if option and not word.startswith("-"):
            parts[-1] += f" {word}"
            option = False
        else:
            parts.append(word)
            option = word.startswith("-")
    return parts
