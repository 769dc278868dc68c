"""Lines of a width on a console: sentences, pairs, bars, and commands to copy. Nothing ends in spaces."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tui.shell import command_lines
from tui.words import _
from tui.wrapping import wrap

BAR = 15  # cells of the longest bar
_ASCII = str.maketrans({"±": "+/-", "—": "-", "–": "-", "─": "-", "×": "x", "…": "..."})
NARROW = 44  # cells: below them a value has no place beside its name


class Lines:
    """Writes on stdout, or on another console, in ASCII where that is all it can show."""

    def __init__(self, console: Console | None = None):
        if console is None and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        self.console = console or Console(file=sys.stdout, highlight=False)
        self.unicode = (self.console.encoding or "").lower().replace("-", "").startswith("utf")

    def line(self, text: str, style: str = "", indent: int = 0) -> None:
        """A sentence, on as many lines as it takes."""
        text = text if self.unicode else text.translate(_ASCII)
        for line in wrap(text, self.console.width - indent):
            self._print(" " * indent + line, style)

    def blank(self) -> None:
        """An empty line."""
        self.console.print()

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """After an empty line two columns: what, and what of it; one column where there is no room."""
        found = list(facts)
        if not found:
            return
        self.blank()
        column = max(cell_len(what) for what, _value in found) + 2
        for what, value in found:
            if self.console.width < NARROW:
                self.line(_("{label}: {value}").format(label=what, value=value), indent=2)
                continue
            for number, line in enumerate(wrap(value, self.console.width - column - 2)):
                self.line(_padded("" if number else what, column) + line, indent=2)

    def bars(self, rows: Sequence[tuple[str, int, str]]) -> None:
        """Names, sizes and the words for these, with bars of one scale where there is room."""
        if not rows:
            return
        most = max(size for _name, size, _told in rows)
        column = max(cell_len(name) for name, _size, _told in rows) + 2
        figures = max(cell_len(told) for _name, _size, told in rows)
        longest = min(BAR, self.console.width - column - figures - 4)
        for name, size, told in rows:
            if longest < 1:
                self.line(_("{label}: {value}").format(label=name, value=told), indent=2)
                continue
            bar = ("█" if self.unicode else "#") * -(-longest * size // most)
            self.line(f"{_padded(name, column)}{told:>{figures}}  {bar}", indent=2)

    def typed(self, words: str) -> None:
        """A command. What has no room on a line goes on after a backslash, so that all of it can be copied."""
        for line in command_lines(words, self.console.width - 2):
            self._print("  " + line)

    def _print(self, line: str, style: str = "") -> None:
        self.console.print(Text(line, style), soft_wrap=True)


def _padded(text: str, cells: int) -> str:
    return text + " " * (cells - cell_len(text))
