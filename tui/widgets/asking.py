"""Where a question is chosen or typed: rows to Enter, and a line with a memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.widgets.field import Field
from tui.widgets.picker import Picker


class Offers(Picker):
    """Whoever begins to type types a question."""

    @dataclass
    class Typed(Message):
        """A character that belongs into the line."""

        character: str

    def on_key(self, event: events.Key) -> None:
        """Letters and digits are no keys here."""
        if event.is_printable and event.character:
            event.stop()
            event.prevent_default()
            self.post_message(self.Typed(event.character))


class QuestionLine(Field):
    """↑ brings back what was asked before, ↓ the later ones, and from the last the rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "recall(-1)", show=False),
        Binding("down", "recall(1)", show=False),
    ]

    class Left(Message):
        """Down from the last line: to the rows."""

    def __init__(self, *, id: str | None = None):  # noqa: A002
        super().__init__(id=id)
        self.asked: list[str] = []
        self._place = 0

    def remember(self, question: str) -> None:
        """It can be had again."""
        if not self.asked or self.asked[-1] != question:
            self.asked.append(question)
        self._place = len(self.asked)

    def action_recall(self, by: int) -> None:
        """One earlier, or one later."""
        place = self._place + by
        if 0 <= place < len(self.asked):
            self._place = place
            self.fill(self.asked[place])
        elif place == len(self.asked):
            self._place = place
            self.fill("")
        elif by > 0:
            self.post_message(self.Left())
