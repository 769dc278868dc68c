"""A line to type in."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.widgets import Input

from engine.text import clean


class Field(Input):
    """No blinking cursor, no control characters, whatever was pasted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    def __init__(self, *, id: str | None = None, placeholder: str = ""):  # noqa: A002
        super().__init__(placeholder=placeholder, id=id, compact=True, select_on_focus=False)
        self.cursor_blink = False

    def validate_value(self, value: str) -> str:
        """What is pasted may hold anything; nothing of it reaches the terminal as it is."""
        return clean(value)

    def cursor_at(self) -> Offset:
        """Where the terminal's cursor stands: on the cell of the letter that is next."""
        region = self.content_region
        return Offset(region.x + cell_len(self.value[: self.cursor_position]) - self.scroll_offset.x, region.y)

    def fill(self, value: str) -> None:
        """Show a value, ready to be changed at its end."""
        self.value = value
        self.cursor_position = len(self.value)
