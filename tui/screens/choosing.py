"""A step with one choice, and a line to type in where the choice asks for one: model, data, preset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.timer import Timer
from textual.widgets import Input

from engine.errors import Problem
from engine.text import verbatim
from engine.wizard.questions import Choice, Question
from tui.screens.base import StepScreen
from tui.screens.files import Chosen, FileScreen
from tui.widgets import Words
from tui.widgets.field import Field
from tui.widgets.picker import Picker, Row
from tui.words import _, say

RESTING = 0.3  # seconds on a row before it is looked into


class ChoiceScreen(StepScreen):
    """Moving to a row is answering; Enter accepts it and goes on once everything about it is known.

    A row that asks for a path opens a list of files, and `b` does so again; the path can be typed as well.
    """

    AUTO_FOCUS = "#choices"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("b", "browse", show=False)]

    def __init__(self, step: str, question: str = ""):
        self.step = step
        self.edited = question
        self.given: list[Problem] = []  # of the last answer that was not taken
        self._rest: Timer | None = None
        super().__init__()

    def body(self) -> ComposeResult:
        """The choices, what there is to know of the current one, and the line that it may ask for."""
        yield Picker(whole_values=True, digits=True, id="choices")
        yield Words(id="note")
        with Horizontal(id="typed"):
            yield Words(id="asked")
            yield Field(id="typing")
        yield Words(id="about")

    @property
    def main(self) -> Question:
        """The step's choice."""
        return self.wizard_app.wizard.questions(self.step)[0]

    @property
    def typed(self) -> Question | None:
        """The question that the current choice leads to."""
        asked = self.wizard_app.wizard.questions(self.step)
        return next((question for question in asked if question.kind in ("path", "text")), None)

    def arrive(self) -> None:
        """Keys go to what is edited."""
        super().arrive()
        typed = self.typed
        if typed is not None:
            self.query_one(Field).fill(say(verbatim(self.wizard_app.wizard.value(typed.id))))
            if typed.id == self.edited:
                self.query_one(Field).focus()

    @property
    def typing(self) -> bool:
        """Whether the line has the keys."""
        return self.is_mounted and self.query_one(Field).has_focus

    def on_descendant_focus(self) -> None:
        """What the line asks for, and the keys, change with where they go."""
        if self.drawn:
            self.show_typed()

    def refresh_body(self) -> None:
        """Rows and facts as they are known now."""
        wizard = self.wizard_app.wizard
        value, choices = wizard.value(self.main.id), self.choices()
        rows = [Row(found.value, say(found.label), say(found.note), _mark(found)) for found in choices]
        self.query_one("#choices", Picker).show(rows, value)
        current = next(found for found in choices if found.value == value)
        self.query_one("#note", Words).show(self.note(current))
        self.show_typed()
        self.show_about()
        super().refresh_body()

    def show_typed(self) -> None:
        """The line, and how to come to it or out of it."""
        typed, field = self.typed, self.query_one(Field)
        self.query_one("#typed").display = typed is not None
        if typed is not None:
            self.query_one("#asked", Words).show(_("{label}:").format(label=say(typed.label)))
            how = _("Enter, then type") if typed.wanted is None else _("Tab, then type")
            field.placeholder = _("type it, then Enter") if field.has_focus else how

    def show_about(self) -> None:
        """The facts of the current choice."""
        lines = self.wizard_app.wizard.about(self.step)
        self.query_one("#about", Words).show("\n".join(say(line) for line in lines))

    def hints(self) -> Sequence[tuple[str, str]]:
        """`b` where a path is asked for; in the line, what its keys do."""
        if self.typing:
            return [("Enter", _("take it")), ("Esc", _("back to the list"))]
        asks = self.is_mounted and self.typed is not None and self.typed.wanted is not None
        return [*super().hints(), *([("b", _("browse"))] if asks else [])]

    def choices(self) -> list[Choice]:
        """Those of the question, and the current answer where it is not, or not yet, among them."""
        wizard = self.wizard_app.wizard
        found, value = list(self.main.choices(wizard)), wizard.value(self.main.id)
        if all(choice.value != value for choice in found):
            found.insert(0, Choice(value, verbatim(value)))
        return found

    def note(self, choice: Choice) -> str:
        """What there is to know of a choice: for the recommended one why, for one that asks for a line what to type."""
        typed = self.typed
        if typed is not None:
            return say(typed.help)
        if self.problems():  # then that is what there is to know
            return ""
        return "\n".join(filter(None, (say(choice.note), self.why(choice))))

    def why(self, choice: Choice) -> str:
        """The reason of the recommended one."""
        default = self.wizard_app.wizard.default(self.main.id)
        reason = say(default.reason) if choice.value == default.value else ""
        return _("Recommended: {reason}.").format(reason=reason) if reason else ""

    def problems(self) -> Sequence[Problem]:
        """Of what was typed, else what was found out; what is merely not typed yet is no problem before Enter."""
        if self.given:
            return self.given
        found = self.wizard_app.wizard.problems(self.step)
        return found if self.tried else [problem for problem in found if problem.code not in EARLY]

    def action_accept(self) -> None:
        """Enter, before the list had the keys."""
        self._take(self.wizard_app.wizard.value(self.main.id))

    def action_back(self) -> None:
        """Esc: from the line to the list, from the list to the step before."""
        typed, field = self.typed, self.query_one(Field)
        if typed is not None and field.value:
            self.wizard_app.wizard.answer(typed.id, field.value)
        if field.has_focus:
            self.query_one("#choices").focus()
            self.wizard_app.find(self.step)
            self.refresh_body()
        else:
            super().action_back()

    @on(Picker.Moved, "#choices")
    def _moved(self, message: Picker.Moved) -> None:
        wizard = self.wizard_app.wizard
        self.tried, self.given = False, []
        wizard.answer(self.main.id, message.key)
        typed = self.typed
        if typed is not None:
            self.query_one(Field).fill(say(verbatim(wizard.value(typed.id))))
        self.refresh_body()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(RESTING, self._rested)

    def _rested(self) -> None:
        if self.wizard_app.at != self.step:  # left meanwhile: what is looked up there would be ended
            return
        self.wizard_app.find(self.step)
        self.refresh_body()

    @on(Picker.Picked, "#choices")
    def _picked(self, message: Picker.Picked) -> None:
        self._take(message.key)

    def _take(self, value: Any) -> None:
        wizard = self.wizard_app.wizard
        if any(choice.value == value for choice in self.main.choices(wizard)):
            wizard.answer(self.main.id, value)  # from now on it is an answer, whatever would be recommended later
        typed = self.typed
        if typed is None:
            self.accept()
        elif typed.wanted is None:
            self.query_one(Field).focus()
        elif typed.check(wizard, wizard.value(typed.id)):
            self.action_browse()
        else:
            self.accept()

    def action_browse(self) -> None:
        """A list of files for the path that is asked for."""
        typed, wizard = self.typed, self.wizard_app.wizard
        if typed is not None and typed.wanted is not None:
            begin = wizard.path(str(wizard.value(typed.id) or ""))
            self.app.push_screen(FileScreen(say(typed.label), begin, typed.wanted), self._browsed)

    def _browsed(self, chosen: Chosen | None) -> None:
        typed, wizard, field = self.typed, self.wizard_app.wizard, self.query_one(Field)
        if chosen is None or typed is None:
            return
        if chosen.path is None:  # a person would rather type
            field.fill(chosen.typed)
            field.focus()
            return
        path = chosen.path
        self.given = wizard.answer(
            typed.id, str(path.relative_to(wizard.cwd) if path.is_relative_to(wizard.cwd) else path)
        )
        field.fill(say(verbatim(wizard.value(typed.id))))
        wizard.forget_refusals()
        self._rested()

    @on(Input.Submitted, "#typing")
    def _entered(self, message: Input.Submitted) -> None:
        typed = self.typed
        if typed is not None:
            self.given = self.wizard_app.wizard.answer(typed.id, message.value)
            if self.given:
                self.refresh_body()
            else:
                self.accept()

    @on(Input.Changed, "#typing")
    def _typing(self) -> None:
        if self.given:
            self.given = []
            self.refresh_body()


EARLY = ("answer_empty", "columns_unknown")  # codes that say what is still to be answered


def _mark(choice: Choice) -> str:
    return _("recommended") if choice.recommended else ""
