"""Questions as a list of rows: the first row goes on, Enter on another edits its answer in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from engine.errors import Problem
from engine.wizard.questions import Question
from engine.wizard.session import Wizard
from engine.wizard.table import table
from tui.widgets import Words
from tui.widgets.field import Field
from tui.widgets.picker import Picker, Row
from tui.words import _, problem_text, say

GO = ""  # key of the first row


class Form(Vertical):
    """`show` brings the rows up to date, `edit` opens one answer. The wizard takes the answers; the screen is told."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    class Going(Message):
        """Enter on the first row."""

    class Toggled(Message):
        """A line is edited, or no longer."""

    @dataclass
    class Chosen(Message):
        """Enter on a question's row: edit it, here or elsewhere."""

        question: str

    @dataclass
    class Changed(Message):
        """The wizard took another answer."""

        question: str

    def __init__(self, *, id: str | None = None):  # noqa: A002
        super().__init__(id=id)
        self.wizard: Wizard | None = None
        self.editing = ""

    def compose(self) -> ComposeResult:
        """The rows, what there is to know of the current one, and where it is edited."""
        yield Picker(id="rows")
        yield Words(id="detail")
        with Vertical(id="editor"):
            yield Words(id="asked")
            yield Field(id="typing")
            yield Picker(id="offered")
            yield Words(id="refused")

    def show(self, wizard: Wizard, first: str, questions: Sequence[Question]) -> None:
        """Draw these questions. `first`: words of the row that goes on."""
        self.wizard = wizard
        rows = [Row(GO, first)]
        for question in questions:
            mark = _("changed") if wizard.changed(question.id) else ""
            rows.append(Row(question.id, say(question.label), say(wizard.shown(question.id)), mark))
        self.query_one("#rows", Picker).show(rows)
        self.query_one("#editor").display = bool(self.editing)
        self._explain()

    def focus_rows(self, question: str | None = None) -> None:
        """Keys go to the rows."""
        rows = self.query_one("#rows", Picker)
        rows.focus()
        if question is not None:
            rows.move_to(question)
            self._explain()

    def edit(self, name: str) -> None:
        """Open the answer to a question."""
        assert self.wizard is not None
        question = table()[name]
        self.editing = name
        field, offered = self.query_one("#typing", Field), self.query_one("#offered", Picker)
        options = _options(self.wizard, question)
        field.display, offered.display = not options, bool(options)
        self.query_one("#asked", Words).show(explanation(self.wizard, question))
        self.query_one("#refused", Words).show("")
        self.query_one("#editor").display = True
        self.query_one("#detail").display = False
        self.post_message(self.Toggled())
        if options:
            offered.show(options, _key(self.wizard.value(name)))
            offered.focus()
        else:
            value = self.wizard.value(name)
            field.fill("" if value is None else say(self.wizard.shown(name)))
            field.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Esc is ours only while something is edited."""
        return bool(self.editing) if action == "leave" else True

    def action_leave(self) -> None:
        """Esc: the answer stays as it was."""
        self._close()

    @on(Picker.Moved, "#rows")
    def _moved(self) -> None:
        self._explain()

    @on(Picker.Picked, "#rows")
    def _picked(self, message: Picker.Picked) -> None:
        message.stop()
        self.post_message(self.Going() if message.key == GO else self.Chosen(message.key))

    @on(Input.Submitted, "#typing")
    def _typed(self, message: Input.Submitted) -> None:
        message.stop()
        self._give(message.value)

    @on(Picker.Picked, "#offered")
    def _offered(self, message: Picker.Picked) -> None:
        message.stop()
        self._give(message.key[1])

    def _give(self, value: Any) -> None:
        assert self.wizard is not None
        name = self.editing
        problems = self.wizard.answer(name, value)
        self.query_one("#refused", Words).show("\n".join(_complaint(problem) for problem in problems))
        if not problems:
            self._close()
            self.post_message(self.Changed(name))

    def _close(self) -> None:
        self.editing = ""
        self.query_one("#editor").display = False
        self._explain()
        self.query_one("#rows", Picker).focus()
        self.post_message(self.Toggled())

    def _explain(self) -> None:
        name = self.query_one("#rows", Picker).key
        text = explanation(self.wizard, table()[name]) if name and self.wizard else ""
        self.query_one("#detail", Words).show("" if self.editing else text)


def explanation(wizard: Wizard, question: Question) -> str:
    """What it is for, why it has its value, and what people use."""
    usual, default = say(question.usual), wizard.default(question.id)
    reason = "" if wizard.changed(question.id) else say(default.reason)
    facts = [_("usual: {usual}").format(usual=usual)] if usual else []
    facts += [_("why: {reason}").format(reason=reason)] if reason else []
    return "\n".join(filter(None, (say(question.help), "   ".join(facts))))


def _options(wizard: Wizard, question: Question) -> list[Row]:
    """The answers to choose from; none where one is typed."""
    if question.kind == "switch":
        rows = [Row(_key(True), _("yes")), Row(_key(False), _("no"))]
        return [Row(_key(None), _("(none)")), *rows] if question.optional else rows
    if question.kind != "choice":
        return []
    return [Row(_key(choice.value), say(choice.label), say(choice.note)) for choice in question.choices(wizard)]


def _key(value: Any) -> tuple[str, Any]:
    """A row's key: None is a value like any other here."""
    return type(value).__name__, value


def _complaint(problem: Problem) -> str:
    return _("! {problem}").format(problem=problem_text(problem))
