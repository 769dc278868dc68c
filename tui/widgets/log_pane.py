"""The end of a run's log: as many lines as there is room for, cut at the edge."""

from __future__ import annotations

from collections.abc import Sequence

from textual.events import Resize
from textual.widgets import Static

from tui.widgets import plain


class LogPane(Static):
    """Draws again only when the lines it has room for differ. They were cleaned when they were read."""

    DEFAULT_CSS = """
    LogPane { height: 5; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__("")
        self._lines: Sequence[str] = ()
        self._shown: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        """Take the last lines of the log."""
        self._lines = lines
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
