"""The end of a run's log: as many lines as there is room for, cut at the edge."""

from __future__ import annotations

from collections.abc import Sequence

from textual.events import Resize
from textual.widgets import Static

from tui.widgets import plain

LEAST = 2
BESIDE = ((36, 10), (28, 6), (22, 4))  # lines beside a picture, in a window at least so high


def lines_beside(height: int) -> int:
    """How many lines it gets beside a picture, in a window of this height."""
    return next((lines for high, lines in BESIDE if height >= high), LEAST)


class LogPane(Static):
    """Draws again only when the lines it has room for differ. They were cleaned when they were read."""

    DEFAULT_CSS = """
    LogPane { height: 5; min-height: 2; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__("")
        self._lines: Sequence[str] = ()
        self._shown: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        """Take the last lines of the log; without any it takes no room."""
        self._lines = lines
        self.display = any(line.strip() for line in lines)
        self._draw()

    def on_resize(self, event: Resize) -> None:
        """Another number of lines."""
        self._draw()

    def _draw(self) -> None:
        height = self.size.height
        shown = [line for line in self._lines if line.strip()][-height:] if height else []
        if shown != self._shown:
            self._shown = shown
            self.update(plain("\n".join(shown)), layout=False)
