"""Text to read, over whatever was on the screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen

from tui.widgets import Words
from tui.words import _


class TextPane(ModalScreen[None]):
    """Arrows and page keys scroll; Esc, Enter and q close."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "close", show=False)]

    def __init__(self, title: str, text: str):
        super().__init__()
        self.heading, self.text = title, text

    def compose(self) -> ComposeResult:
        """A title, the text, the keys."""
        with Vertical(id="pane"):
            yield Words(self.heading, id="pane-title")
            with VerticalScroll(id="pane-text"):
                yield Words(self.text)
            yield Words(_("↑ ↓ scroll  Esc close"), id="pane-keys")

    def on_mount(self) -> None:
        """The arrows scroll at once."""
        self.query_one("#pane-text").focus()

    def action_close(self) -> None:
        """Back to the step."""
        self.dismiss()
