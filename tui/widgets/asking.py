"""Where a question is chosen or typed: rows to Enter, and a line with a memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input

from engine.text import clean
from tui.widgets import Words
from tui.widgets.field import Field
from tui.widgets.picker import Picker, Row
from tui.words import _

LONGEST = 400  # characters of a question that is offered
GO = ""  # key of the row that goes on
ROOMY = 30  # lines of a screen that has room for all rows


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


class Asking(Vertical):
    """Both, one above the other. `show` brings the rows up to date; the screen is told what is asked."""

    DEFAULT_CSS = """
    Asking { height: auto; }
    Asking #asks { max-height: 4; }
    Asking.-roomy #asks { max-height: 6; }
    Asking #line { height: 1; }
    Asking #line Words { width: 2; }
    Asking #question { width: 1fr; }
    """

    @dataclass
    class Asked(Message):
        """A question."""

        question: str

    class Going(Message):
        """The last row: nothing more is asked."""

    def __init__(self, *, id: str | None = None):  # noqa: A002
        super().__init__(id=id)
        self.silent = True

    def compose(self) -> ComposeResult:
        """The rows over the line."""
        yield Offers(id="asks", numbers=False)
        with Horizontal(id="line"):
            yield Words(">")
            yield QuestionLine(id="question")

    def show(self, questions: Sequence[str], *, silent: bool) -> None:
        """Offer these. silent: nobody answers now, so that the next can be asked."""
        self.silent = silent
        rows = [Row(text, _("Ask: {text}").format(text=clean(text, LONGEST))) for text in questions]
        offers = self.query_one(Offers)
        first = rows[0].key if rows and len(offers.rows) < 2 else None  # where there was nothing to ask till now
        offers.show([*rows, Row(GO, _("Go on: what was made, and how to use it"))], first)

    def to_height(self, lines: int) -> None:
        """All rows on a screen that has room for them."""
        self.set_class(lines >= ROOMY, "-roomy")

    def toggle(self) -> None:
        """From the rows to the line, and back."""
        line = self.query_one(QuestionLine)
        (self.query_one(Offers) if line.has_focus else line).focus()

    def empty(self) -> None:
        """Nothing is typed."""
        self.query_one(QuestionLine).value = ""

    @on(Offers.Picked)
    def _picked(self, message: Offers.Picked) -> None:
        message.stop()
        if message.key == GO:
            self.post_message(self.Going())
        elif self.silent:
            self._ask(str(message.key))
            self.query_one(Offers).action_move(1)

    @on(Offers.Typed)
    def _begun(self, message: Offers.Typed) -> None:
        line = self.query_one(QuestionLine)
        line.focus()
        line.insert_text_at_cursor(message.character)

    @on(QuestionLine.Left)
    def _left(self) -> None:
        self.query_one(Offers).focus()

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        question = message.value.strip()
        if not question:
            self.query_one(Offers).focus()
        elif self.silent:
            self.empty()
            self._ask(question)

    def _ask(self, question: str) -> None:
        self.query_one(QuestionLine).remember(question)
        self.post_message(self.Asked(question))
