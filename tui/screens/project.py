"""A project that was opened: what its newest run allows, and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from textual import on
from textual.app import ComposeResult

from engine.errors import Problem
from engine.runs.folder import RunFolder
from engine.runs.results import results
from engine.runs.retry import Retry
from engine.text import Phrase
from engine.wizard.beginning import Seen
from engine.wizard.desk import Started
from engine.wizard.opening import Opened
from tui import ways
from tui.beginpage import ANSWERS, MERGE, RESUME, RUN, TALK, project_offers, standing
from tui.beside import beside
from tui.finding import Progressed
from tui.screens.base import StepScreen
from tui.screens.finishing import MERGING
from tui.screens.running import RESUMING
from tui.steering import Resumed, start_again
from tui.widgets import Words
from tui.widgets.picker import Picker, Row
from tui.words import _, problem_line


class ProjectScreen(StepScreen):
    """The answers are the app's already; nothing is written or started before a row is taken."""

    AUTO_FOCUS = "#offers"

    def __init__(self, opened: Opened, run: Seen | None):
        super().__init__()
        self.opened, self.run = opened, run
        self.failure: tuple[Problem, ...] = ()

    def body(self) -> ComposeResult:
        """What can be done, how the newest run stands, and what the wizard cannot express."""
        yield Picker(id="offers")
        yield Words(id="note")
        yield Words(id="about")

    def intro(self) -> str:
        """Which project."""
        return _("The project in {folder}").format(folder=self.opened.file.parent)

    def hints(self) -> Sequence[tuple[str, str]]:
        """Nothing but the list."""
        return [("Enter", _("go on")), ("Esc", _("back"))]

    def problems(self) -> Sequence[Problem]:
        """Why it could not go on."""
        return self.failure

    def refresh_body(self) -> None:
        """The rows, and how the newest run stands."""
        super().refresh_body()
        offers = project_offers(self.run)
        self.query_one("#offers", Picker).show([Row(offer.key, offer.label, offer.value) for offer in offers])
        newest = _("Its newest run, {run}: {state}")
        told = newest.format(run=self.run.run.id, state=standing(self.run.status)) if self.run else ""
        self.query_one("#note", Words).show(told)
        self.query_one("#about", Words).show("\n".join(problem_line(found) for found in self.opened.notes))

    def action_back(self) -> None:
        """To where projects are chosen."""
        if not self.wizard_app.starting:
            ways.begin(self.wizard_app)

    @on(Picker.Picked)
    def _picked(self, message: Picker.Picked) -> None:
        app = self.wizard_app
        if app.starting:
            return
        if message.key == ANSWERS or self.run is None:
            app.go("review")
        elif message.key == RUN:
            ways.watch(app, self.run.run, self._again)
        elif message.key == TALK:
            ways.talk(app, self.run.run)
        elif message.key == RESUME:
            self._resume(self.run.run)
        elif message.key == MERGE:
            self._merge(self.run.run)

    def _again(self) -> None:
        ways.open_project(self.wizard_app, self.opened, self.run)

    def _resume(self, run: RunFolder) -> None:
        app, self.failure = self.wizard_app, ()
        app.starting = Progressed(RESUMING, 0, 0)
        start_again(app.desk, run, Retry(), self.post_message, app.post_message)
        self.refresh_body()

    def _merge(self, run: RunFolder) -> None:
        app, self.failure = self.wizard_app, ()
        app.starting = Progressed(MERGING, 0, 0)

        def progress(what: Phrase, done: int, total: int) -> None:
            app.post_message(Progressed(what, done, total))

        def work() -> Resumed:
            merging = results(run, self.opened.file, run.outputs()).merging
            return Resumed(app.desk.merge(merging, progress) if merging else Started(None, self.opened.file, {}))

        beside(self.post_message, work, partial(Resumed, None))
        self.refresh_body()

    def on_resumed(self, message: Resumed) -> None:
        """Watch it, or say why there is nothing to watch."""
        app = self.wizard_app
        app.starting, self.failure = None, message.problems
        if message.started is None:
            self.refresh_body()
        elif run := message.started.run or (self.run.run if self.run else None):
            ways.watch(app, run, self._again)
