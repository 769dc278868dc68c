"""Why a start came to nothing, and the ways on from there, over the review that it was asked for at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.errors import Problem
from engine.failures import page_about
from engine.runs.retry import Retry
from engine.wizard.mending import is_written, start_command, ways_from
from tui import ways
from tui.mending import Read, RunFound, mend
from tui.screens.base import problem_words
from tui.screens.help import HelpPane
from tui.screens.pane import TextPane
from tui.widgets import Words
from tui.widgets.fixlist import FixList, Ways
from tui.widgets.footer import Key
from tui.words import _

if TYPE_CHECKING:
    from tui.app import WizardApp


class RefusedPane(TextPane):
    """A digit does its way at once, Esc leaves it so. What starts again is done by the screen below."""

    DEFAULT_CSS = """
    RefusedPane #refused { text-style: bold; max-height: 50%; color: $text-error; }
    RefusedPane.-tall #refused { margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,f1", "explain", show=False)]

    @dataclass
    class Again(Message):
        """Start again, with this changed."""

        retry: Retry

    def __init__(self, app: WizardApp, problems: Sequence[Problem]):
        super().__init__(_("The run was not started. What can be done, the likeliest first:"), "")
        self.wizard, self.problems = app.wizard, problems

    def above(self) -> ComposeResult:
        """Why."""
        yield Words(problem_words(self.problems), id="refused")

    def content(self) -> ComposeResult:
        """The ways."""
        there = is_written(self.wizard)  # looked at once, not with every row
        yield Ways(lambda fix: start_command(self.wizard, fix, there=there))

    def keys(self) -> Sequence[Key]:
        """As where a run has failed."""
        here = [("Enter", _("do it")), ("1-9", _("do that one")), ("?", _("help"))]
        return [*here, ("Esc", _("your answers"))]

    def read_on(self) -> None:
        """Keys go to the ways."""
        self.query_one(Ways).show(ways_from(self.wizard, self.problems))
        self.query_one(FixList).focus()

    def on_ways_chosen(self, message: Ways.Chosen) -> None:
        """Here, where there is something to read; else below."""
        mend(cast("WizardApp", self.app), None, message.fix, self._again, self.post_message)

    def on_read(self, message: Read) -> None:
        """What a way on had to look up first."""
        self.app.push_screen(TextPane(message.title, message.text))

    def on_run_found(self, message: RunFound) -> None:
        """Esc leads back from it to the answers."""
        app = cast("WizardApp", self.app)

        def back() -> None:
            ways.leave_run(app)
            app.go("review")

        ways.watch(app, message.run, back)

    def action_explain(self) -> None:
        """The page about it, and all other help."""
        self.app.push_screen(HelpPane(self.wizard, "review", page_about(self.problems)))

    def _again(self, retry: Retry) -> None:
        if not self.is_active:  # the question whether to leave has come over it
            return
        below = self.app.screen_stack[-2]
        self.dismiss()
        below.post_message(self.Again(retry))
