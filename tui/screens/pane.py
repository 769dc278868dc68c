"""Text to read, over whatever was on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll

from tui.screens.modal import Modal
from tui.widgets import Words
from tui.widgets.footer import Footer, Key
from tui.words import _


class TextPane(Modal[None]):
    """Arrows and page keys scroll; Esc, Enter and q close."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "close", show=False)]

    def __init__(self, title: str, text: str):
        super().__init__()
        self.heading, self.text = title, text

    def compose(self) -> ComposeResult:
        """A title, the text, the keys."""
        with Vertical(id="pane"):
            yield Words(self.heading, id="pane-title")
            yield from self.above()
            with VerticalScroll(id="pane-text"):
                yield from self.content()
            yield Footer(pane=True)

    def above(self) -> ComposeResult:
        """What stands between title and text."""
        yield from ()

    def content(self) -> ComposeResult:
        """What scrolls."""
        yield Words(self.text, id="pane-words")

    def keys(self) -> Sequence[Key]:
        """What the keys do."""
        return [("↑ ↓", _("scroll")), ("Esc", _("close"))]

    def tell_keys(self) -> None:
        """They do something else than before."""
        self.query_one(Footer).show_keys(self.keys())

    def on_mount(self) -> None:
        """The arrows scroll at once."""
        self.tell_keys()
        self.read_on()

    def read_on(self) -> None:
        """Keys go to the text."""
        self.query_one("#pane-text").focus()

    def show(self, text: str) -> None:
        """Another text, from its beginning."""
        self.query_one("#pane-words", Words).show(text)
        self.query_one("#pane-text").scroll_home(animate=False)

    def action_close(self) -> None:
        """Back to the step."""
        self.dismiss()
