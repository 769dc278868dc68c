"""A run as it goes: phase, figures, picture and log; and when it ends, what became of it and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.errors import Problem
from engine.runs import control
from engine.runs.folder import RunFolder
from engine.runs.retry import Retry
from engine.runs.view import Snapshot
from engine.text import Phrase
from engine.wizard.desk import Started
from tui.beside import beside
from tui.finding import Progressed
from tui.phases import proof_words
from tui.runwatch import over
from tui.screens.base import StepScreen
from tui.widgets import Words
from tui.widgets import figures as say
from tui.widgets.chart import LossChart
from tui.widgets.log_pane import LogPane
from tui.words import _

NOT_WELL = ("stopped", "failed", "crashed")
RESUMING = Phrase("Starting the run again")


class StopAsked(Message):
    """The run was asked to stop, or why it could not be."""

    def __init__(self, problems: tuple[Problem, ...]):
        super().__init__()
        self.problems = problems


class Resumed(Message):
    """The run was started again, or why it could not be."""

    def __init__(self, started: Started | None, problems: tuple[Problem, ...] = ()):
        super().__init__()
        self.started, self.problems = started, problems


class RunScreen(StepScreen):
    """Draws the app's snapshot. Stopping and resuming are the engine's; their threads post what came of it."""

    DEFAULT_CSS = """
    RunScreen #state { text-style: bold; }
    RunScreen .line { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    RunScreen #next { text-style: bold; }
    RunScreen #after { margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop", show=False),
        Binding("d,q", "detach", show=False),
        Binding("l", "log", show=False),
        Binding("c", "scale", show=False),
        Binding("r", "resume", show=False),
        Binding("b", "questions", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.step = "training"
        self.asked = False  # whether s was pressed once
        self.stopping = False
        self.large_log = False
        self.refused: tuple[Problem, ...] = ()

    @property
    def seen(self) -> Snapshot | None:
        """The run that is watched; None before the first look at it."""
        app = self.wizard_app
        found = app.snapshot
        return found if found and app.run_folder and found.path == app.run_folder.path else None

    @property
    def state(self) -> str:
        """Of the run; starting before the first look."""
        return self.seen.status.state if self.seen else "starting"

    def body(self) -> ComposeResult:
        """From what matters most to what fills the rest."""
        for name in ("state", "cause", "after"):
            yield Words(id=name)
        for name in ("progress", "loss", "rate"):
            yield Words(id=name, classes="line")
        yield LossChart(self.wizard_app.profile.ascii_only)
        yield Words(id="legend", classes="line")
        yield Words(id="proof")
        yield Words(id="notes")
        yield LogPane()
        yield Words(id="next")

    def intro(self) -> str:
        """The state says it all."""
        return ""

    def hints(self) -> Sequence[tuple[str, str]]:
        """Those that do something now."""
        log = ("l", _("log"))
        if self.state == "finished":
            return [("Enter", _("go on")), log, ("c", _("scale"))]
        if self.state in NOT_WELL:
            back = [("b", _("change answers"))] if self._is_ours() else []
            return [("r", _("resume")), *back, log]
        stop = [("s", _("stop and save"))] if not self.stopping else []
        return [*stop, ("d", _("leave it running")), log, ("c", _("scale"))]

    def problems(self) -> Sequence[Problem]:
        """Why a stop or a resume was refused."""
        return self.refused

    def refresh_body(self) -> None:
        """Draw what the last look at the run brought."""
        seen = self.seen
        self._follow(seen)
        super().refresh_body()
        if seen is None:
            self._show("state", _("Looking at the run …"))
            return
        bad = self.state in ("failed", "crashed")
        self._show("state", say.state_line(seen))
        self._show("cause", say.cause(seen))
        self._show("after", say.after(seen, ours=self._is_ours()))
        self._show("progress", "" if self.state == "finished" else say.progress_line(seen))
        self._show("loss", say.loss_line(seen))
        self._show("rate", "" if self.state in NOT_WELL else say.rate_line(seen))
        self._show("proof", proof_words(seen.proof) if seen.proof else "")
        self._show("next", self._next(seen))
        drawn = not (bad or self.large_log or self.refused) and bool(seen.losses or seen.evals)
        chart, log = self.query_one(LossChart), self.query_one(LogPane)
        chart.display = drawn
        self._show("legend", say.legend(chart.log_scale) if drawn else "")
        self._show("notes", say.all_notes(seen) if self.large_log else "" if bad else say.notes_line(seen))
        self.query_one("#notes").set_class(not self.large_log, "line")
        log.set_class(not drawn, "-large")
        log.display = any(line.strip() for line in seen.log_tail)
        chart.show(seen.losses, seen.smoothed, seen.evals)
        log.show(seen.log_tail)

    def _follow(self, seen: Snapshot | None) -> None:
        """The rail shows the step that the run is at."""
        if seen:  # the answers are asked of what was merged, where anything was
            merging = seen.step_now == "merge" or (seen.step_now == "answers" and "merge" in seen.steps)
            self.step = "merge" if merging else "training"
        app = self.wizard_app
        if app.at != self.step:
            app.at = app.reached = self.step

    def _show(self, name: str, text: str) -> None:
        self.query_one(f"#{name}", Words).show(text)

    def _next(self, seen: Snapshot) -> str:
        """The last line: what can be done, or that nothing has to be."""
        if self.state == "finished":
            return _("Enter: talk to it, beside the model it was made from.")
        if over(seen):
            return ""
        if self.asked:
            return _("s again stops after this step and saves. Esc lets it go on.")
        if self.stopping and self.state != "stopping":
            return _("Asked to stop: the step is finished and saved first.")
        return say.safe_line(seen)

    def _is_ours(self) -> bool:
        """Whether this wizard's answers started it, so that they can be changed."""
        return self.wizard_app.started is not None

    # Keys

    def accept(self) -> None:
        """Enter: on to the chat, or on with what was stopped."""
        if self.state == "finished":
            self.wizard_app.go("chat")
        elif self.state == "stopped":
            self.action_resume()

    def action_back(self) -> None:
        """Esc takes a half-asked stop back."""
        if self.asked:
            self.asked = False
            self.refresh_body()

    def action_stop(self) -> None:
        """Asks once, inline."""
        if self.seen is None or over(self.seen) or self.stopping:
            return
        if self.asked:
            self.asked, self.stopping, self.refused = False, True, ()
            beside(self.post_message, partial(self._stop, RunFolder(self.seen.path)), StopAsked)
        else:
            self.asked = True
        self.refresh_body()

    def action_detach(self) -> None:
        """Leave; the run goes on."""
        self.wizard_app.leave(0)

    def action_log(self) -> None:
        """All of the screen for the log and the notes, or back."""
        self.large_log = not self.large_log
        self.refresh_body()

    def action_scale(self) -> None:
        """Linear or logarithmic."""
        self.query_one(LossChart).toggle_scale()
        self.refresh_body()

    def action_questions(self) -> None:
        """Back to the answers, all of which are kept."""
        if self.state in NOT_WELL and self._is_ours():
            self.wizard_app.go("review")

    def action_resume(self) -> None:
        """Go on with a run that did not end well."""
        app = self.wizard_app
        if self.seen is None or self.state not in NOT_WELL or app.starting:
            return
        self.refused = ()
        app.starting = Progressed(RESUMING, 0, 0)
        beside(self.post_message, partial(self._resume, RunFolder(self.seen.path)), partial(Resumed, None))
        self.refresh_body()

    # What takes its time

    def _stop(self, run: RunFolder) -> StopAsked:
        control.stop(run)
        return StopAsked(())

    def _resume(self, run: RunFolder) -> Resumed:
        def progress(what: Phrase, done: int, total: int) -> None:
            self.app.post_message(Progressed(what, done, total))

        return Resumed(self.wizard_app.desk.resume(run, Retry(), progress))

    def on_stop_asked(self, message: StopAsked) -> None:
        """The run stops, or says why not."""
        self.refused = message.problems
        self.stopping = not message.problems
        self.refresh_body()

    def on_resumed(self, message: Resumed) -> None:
        """Watch the new run, or say why there is none."""
        app = self.wizard_app
        app.starting, self.refused = None, message.problems
        if message.started is None:
            self.refresh_body()
        elif message.started.run is None:
            app.started = message.started
            app.go("finish")
        else:
            app.watch_run(message.started.run)
            app.go("training")
