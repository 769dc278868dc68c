"""Questions as a list of rows: the first row goes on, Enter on another edits its answer in place, `/` finds one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from engine.errors import Problem
from engine.wizard.questions import Question, mentions
from engine.wizard.session import Wizard
from engine.wizard.table import table
from tui.helptext import explanation
from tui.widgets import Words
from tui.widgets.field import Field
from tui.widgets.picker import Picker, Row
from tui.words import _, problem_text, say, translate

GO = ""  # key of the first row
HEADING = "heading"  # begins the key of a row that is one


class Form(Vertical):
    """`show` brings the rows up to date, `edit` opens one answer. The wizard takes the answers; the screen is told.

    brief: only what a question is for stands below the rows; all of it where it is edited. elsewhere: steps whose
    questions are not edited here, so that none of them is put back here either. finding: words that rows are picked
    by. still: no answer changes now.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("x,delete", "restore", show=False),
        Binding("slash", "find", show=False),
    ]

    class Going(Message):
        """Enter on the first row."""

    class Toggled(Message):
        """A line is edited or looked for, or no longer."""

    @dataclass
    class Chosen(Message):
        """Enter on a question's row: edit it, here or elsewhere."""

        question: str

    @dataclass
    class Changed(Message):
        """The wizard took another answer."""

        question: str

    def __init__(
        self,
        *,
        brief: bool = False,
        elsewhere: Collection[str] = (),
        id: str | None = None,  # noqa: A002
    ):
        super().__init__(id=id)
        self.wizard: Wizard | None = None
        self.editing = ""
        self.brief, self.elsewhere = brief, elsewhere
        self.still = False
        self._put_back: dict[str, Any] = {}  # {question: the answer that `x` took away}

    def compose(self) -> ComposeResult:
        """The rows, what there is to know of the current one, and where it is edited."""
        yield Field(id="finding")
        yield Picker(id="rows")
        yield Words(id="detail")
        with Vertical(id="editor"):
            yield Words(id="asked")
            yield Field(id="typing")
            yield Picker(id="offered")
            yield Words(id="refused")

    @property
    def finding(self) -> str:
        """The words that rows are picked by; empty where all are shown."""
        return self.query_one("#finding", Field).value.strip() if self.is_mounted else ""

    @property
    def current(self) -> str:
        """The question of the current row, or the one that is edited; empty on the row that goes on."""
        return self.editing or self.query_one("#rows", Picker).key or ""

    def show(self, wizard: Wizard, first: str, questions: Sequence[Question], *, grouped: bool = False) -> None:
        """Draw these questions, or those of them that are looked for. `first`: words of the row that goes on.

        grouped: the rare ones under the headings of their groups.
        """
        self.wizard = wizard
        words, heading = self.finding, ""
        rows = [Row(GO, first)]
        for question in questions:
            if words and not mentions(question, words, translate):
                continue
            if grouped and question.advanced(wizard) and (group := say(question.group)) != heading:
                heading = group
                rows += [Row((HEADING, group), group, heading=True)] if group else []
            mark = _("changed") if wizard.changed(question.id) else ""
            shown, aside = say(wizard.shown(question.id)), say(question.gloss)
            rows.append(Row(question.id, say(question.label), shown, mark, aside))
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

    def edit(self, name: str, suggested: Any = None) -> None:
        """Open the answer to a question, with what is suggested filled in."""
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
            offered.show(options, _key(self.wizard.value(name) if suggested is None else suggested))
            offered.focus()
        else:
            value = self.wizard.value(name) if suggested is None else suggested
            field.fill("" if value is None else say(self.wizard.shown(name)) if suggested is None else str(suggested))
            field.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Esc is ours only while something is edited or looked for; the other keys only while nothing is edited."""
        if action == "leave":
            return bool(self.editing or self.query_one("#finding").display)
        return not self.editing

    def action_leave(self) -> None:
        """Esc: the answer stays as it was, or all rows are back."""
        if self.editing:
            self._close()
            return
        field = self.query_one("#finding", Field)
        field.fill("")
        field.display = False
        self.query_one("#rows", Picker).focus()
        self.post_message(self.Toggled())

    def action_find(self) -> None:
        """`/`: only the rows that mention what is typed."""
        field = self.query_one("#finding", Field)
        field.placeholder = _("a name or any word; Esc shows all again")
        field.display = True
        field.focus()
        self.post_message(self.Toggled())

    def action_restore(self) -> None:
        """`x`: the default in place of the answer; once more, and the answer is back."""
        name = self.query_one("#rows", Picker).key
        if not name or self.still or self.wizard is None or table()[name].step in self.elsewhere:
            return
        if self.wizard.changed(name):
            self._put_back[name] = self.wizard.value(name)
            self.wizard.reset(name)
        elif name in self._put_back:
            self.wizard.answer(name, self._put_back.pop(name))
        else:
            return
        self.post_message(self.Changed(name))

    @on(Input.Changed, "#finding")
    def _found(self) -> None:
        self.post_message(self.Toggled())

    @on(Input.Submitted, "#finding")
    def _find_done(self, message: Input.Submitted) -> None:
        message.stop()
        rows = self.query_one("#rows", Picker)
        found = [str(row.key) for row in rows.rows if row.key != GO and not row.heading]
        self.focus_rows(found[0] if self.finding and found else None)

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
        text = ""
        if name and self.wizard and not self.editing:
            text = say(table()[name].help) if self.brief else explanation(self.wizard, table()[name])
        elif not name and not self.editing:
            text = "" if self.brief else _("Enter here goes on, on a line below it changes that one.")
        self.query_one("#detail", Words).show(text)


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
