"""A run as it goes: phase, figures, picture and log; and when it ends, what became of it and the ways on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from engine.errors import Problem
from engine.failures import page_about
from engine.runs.actions import Fix, Page, command_of
from engine.runs.folder import RunFolder
from engine.runs.retry import Retry
from engine.runs.view import Snapshot
from engine.text import Phrase
from tui.finding import Progressed
from tui.fixpage import ways_on
from tui.mending import Read, mend
from tui.mergewords import merge_lines, proof_words
from tui.pager import show_log
from tui.phasewords import found_lines, phase_lines
from tui.screens.base import StepScreen, problem_words
from tui.screens.pane import TextPane
from tui.steering import Resumed, StopAsked, start_again, stop
from tui.widgets import Words
from tui.widgets import figures as say
from tui.widgets.chart import LossChart
from tui.widgets.fixlist import Ways
from tui.widgets.log_pane import LogPane, lines_beside
from tui.words import _

NOT_WELL = ("stopped", "failed", "crashed")
RESUMING = Phrase("Starting the run again")
FAILED = ("failed", "crashed")
FIGURES = ("progress", "loss", "rate", "load", "plan")
ROOMY = 30  # lines of a window that has room for how the step was planned
TALL = 36  # and for the picture beside a failure


class RunScreen(StepScreen):
    """Draws the app's snapshot. Stopping and resuming are the engine's; their threads post what came of it."""

    DEFAULT_CSS = """
    RunScreen #state, RunScreen #refused { text-style: bold; }
    RunScreen .line { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    RunScreen #next { text-style: bold; dock: bottom; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop", show=False),
        Binding("d,q", "detach", show=False),
        Binding("l", "log", show=False),
        Binding("o", "whole_log", show=False),
        Binding("t", "board", show=False),
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
        return self.wizard_app.snapshot

    @property
    def state(self) -> str:
        """Of the run; starting before the first look."""
        return self.seen.status.state if self.seen else "starting"

    def body(self) -> ComposeResult:
        """From what matters most to what fills the rest."""
        for name in ("state", "changes", "cause", "refused"):
            yield Words(id=name)
        yield Ways(self._command)
        for name in FIGURES:
            yield Words(id=name, classes="line")
        yield Words(id="phases")
        yield Words(id="merge")
        yield LossChart(self.wizard_app.profile.ascii_only)
        yield Words(id="legend", classes="line")
        yield Words(id="proof")
        yield Words(id="notes")
        yield Words(id="board")
        yield LogPane()
        yield Words(id="next")

    def intro(self) -> str:
        """The state says it all."""
        return ""

    def failure_page(self) -> str:
        """Of the cause."""
        return page_about(self.seen.problems) if self.seen else ""

    def hints(self) -> Sequence[tuple[str, str]]:
        """Those that do something now; the others are told by help."""
        log, more = ("o", _("log")), ("l", _("picture") if self.large_log else _("details"))
        back = [("Esc", _("back"))] if self.wizard_app.way_back else []
        if self.state == "finished":
            return [("Enter", _("go on")), *back, more, ("t", "TensorBoard")]
        if self.state in NOT_WELL:
            return [("Enter", _("do it")), ("1-9", _("do that one")), log, ("d", _("leave it so")), *back]
        stop = [("s", _("stop and save"))] if not self.stopping else []
        return [*stop, ("d", _("leave running")), more, ("t", "TensorBoard"), *back]

    def refresh_waiting(self) -> None:
        """In the last line, which is always in sight."""
        if self.wizard_app.starting:
            self._show("next", self.waiting())

    def fixes(self) -> Sequence[Fix]:
        """The ways on from a run that did not reach its end."""
        bad = self.seen if self.state in NOT_WELL else None
        return ways_on(bad, ours=self.wizard_app.started is not None) if bad else ()

    def refresh_body(self) -> None:
        """Draw what the last look at the run brought."""
        seen = self.seen
        self._follow(seen)
        super().refresh_body()
        self._show("board", self.wizard_app.boarding.words())
        if seen is None:
            self._show("state", say.reading_line(self.wizard_app.reading))
            return
        ways = self.fixes()
        self._show("state", say.state_line(seen))
        self._show("changes", say.changes_line(seen))
        self._show("cause", say.cause(seen, advice=len([fix for fix in ways if not isinstance(fix.action, Page)]) < 3))
        self._show("refused", problem_words(self.refused))
        self.query_one(Ways).show(() if self.large_log else ways)
        told = say.figure_lines(seen, self.query_one("#body").content_size.width, roomy=self.size.height >= ROOMY)
        for name in FIGURES:
            self._show(name, told.get(name, ""))
        self._show("merge", "\n".join(merge_lines(seen.facts)) if seen.step_now == "merge" and not seen.over else "")
        self._show("proof", proof_words(seen.proof) if seen.proof else "")
        self._show("next", self._next(seen))
        self._draw(seen)

    def _draw(self, seen: Snapshot) -> None:
        """The picture, or the phases and the log in its place; after a failure the cause and the log come first."""
        first = self.state in FAILED and self.size.height < TALL
        drawn = not (first or self.large_log or self.refused) and bool(seen.losses or seen.evals)
        phases = self.large_log or not (drawn or self.state in FAILED)
        lines = (*phase_lines(seen, ahead=not self.large_log), *found_lines(seen.facts)) if phases else ()
        self._show("phases", "\n".join(lines))
        chart, log = self.query_one(LossChart), self.query_one(LogPane)
        chart.display = drawn
        self._show("legend", say.legend(chart.log_scale) if drawn else "")
        told = say.all_notes(seen) if self.large_log else "" if self.state in NOT_WELL else say.notes_line(seen)
        self._show("notes", told if drawn or self.large_log or not seen.losses else "")  # a merge draws nothing
        for name in ("notes", "changes"):
            self.query_one(f"#{name}").set_class(not self.large_log, "line")
        log.styles.height = lines_beside(self.size.height) if drawn else "1fr"
        chart.show(seen.losses, seen.smoothed, seen.evals)
        log.show(seen.log_tail)

    def _command(self, fix: Fix) -> str:
        """What does a way on at a shell."""
        seen = self.seen
        return command_of(fix, seen.run, str(seen.config.get("file", ""))) if seen else ""

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
        if self.wizard_app.starting:
            return self.waiting()
        if self.state == "finished":
            return _("Enter: talk to it, beside the model it was made from.")
        if seen.over:
            return ""
        if self.asked:
            return _("s again stops after this step and saves. Esc lets it go on.")
        if self.stopping and self.state != "stopping":
            return _("Asked to stop: the step is finished and saved first.")
        return say.safe_line(seen)

    # Keys

    def accept(self) -> None:
        """Enter: on to the chat."""
        if self.state == "finished":
            self.wizard_app.go("chat")

    def on_ways_chosen(self, message: Ways.Chosen) -> None:
        """A way on from a failure."""
        if self.seen is not None and not self.wizard_app.starting:
            mend(self.wizard_app, self.seen, message.fix, self.start_again, self.post_message)

    def on_read(self, message: Read) -> None:
        """What a way on had to look up first."""
        self.app.push_screen(TextPane(message.title, message.text))

    def action_back(self) -> None:
        """Esc takes a half-asked stop back; else it leads to where the run was chosen, which goes on by itself."""
        if self.asked:
            self.asked = False
            self.refresh_body()
        elif self.wizard_app.way_back and not self.wizard_app.starting:
            self.wizard_app.way_back()

    def action_stop(self) -> None:
        """Asks once, inline."""
        if self.seen is None or self.seen.over or self.stopping:
            return
        if self.asked:
            self.asked, self.stopping, self.refused = False, True, ()
            stop(RunFolder(self.seen.path), self.post_message)
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

    def action_whole_log(self) -> None:
        """All of the log, to be searched."""
        if self.seen is not None:
            show_log(self.app, RunFolder(self.seen.path).log_file)

    def action_board(self) -> None:
        """TensorBoard on these curves, or its end."""
        app, seen = self.wizard_app, self.seen
        if seen is not None:
            app.boarding.toggle(RunFolder(seen.path), seen.config, app.post_message)
            self.refresh_body()

    def action_scale(self) -> None:
        """Linear or logarithmic."""
        self.query_one(LossChart).toggle_scale()
        self.refresh_body()

    def action_questions(self) -> None:
        """Back to the answers that started it, all of which are kept."""
        if self.state in NOT_WELL and self.wizard_app.started is not None:
            self.wizard_app.go("review")

    def action_resume(self) -> None:
        """Go on with a run that did not end well, as it was."""
        if self.state in NOT_WELL and not self.wizard_app.starting:
            self.start_again(Retry())

    # What takes its time

    def start_again(self, retry: Retry) -> None:
        """The run once more, with this changed."""
        app = self.wizard_app
        if self.seen is None:
            return
        self.refused = ()
        app.starting = Progressed(RESUMING, 0, 0)
        start_again(app.desk, RunFolder(self.seen.path), retry, self.post_message, app.post_message)
        self.refresh_body()

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
