"""The full-screen wizard: one `Wizard` that is edited, one run that is watched, and the way from step to step."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.screen import ModalScreen, Screen

from engine.errors import Problem
from engine.runs.folder import RunFolder
from engine.runs.view import Snapshot
from engine.text import Phrase
from engine.wizard import draft as drafts
from engine.wizard.beginning import Beginning, Look, look_back
from engine.wizard.desk import Desk, Started
from engine.wizard.draft import Draft
from engine.wizard.fetching import Downloads, arrived
from engine.wizard.inspection import wishes
from engine.wizard.session import Wizard
from engine.wizard.steps import following, preceding, step, steps
from tui import ways
from tui.ascii import AsciiFilter
from tui.boarding import Boarding, BoardOpened
from tui.finding import Fetched, Found, Lookups, NotStarted, Progressed, Refused, StartDone
from tui.keyboard import Keyboard
from tui.lastwords import last_words
from tui.runwatch import RunChanged, RunReading
from tui.screens import StepScreen, screen_of
from tui.screens.base import cursor_of
from tui.screens.leaving import LeaveDialog
from tui.signals import LOST, catch_signals, vanish
from tui.term import TerminalProfile, terminal_gone
from tui.words import LANGUAGES, language, remember_language, set_language

if TYPE_CHECKING:
    from engine.wizard.memory import Remedy

UNDISTURBED = 0.5  # seconds in which the first screen is drawn
STARTING = Phrase("Writing the project and starting its run")


class WizardApp(App[int]):
    """Holds the state; screens draw it and call these methods.

    run_folder: the run that is watched. started: what Start gave back. snapshot: that run as it was last seen.
    look: finds what a person may have come back for. chat: what the chat screen talks to, where a test brings it.
    """

    CSS_PATH = Path(__file__).with_name("styles") / "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "leave", priority=True, show=False),
        Binding("ctrl+z", "suspend_process", priority=True, show=False),
        Binding("question_mark,f1", "help", show=False),
        Binding("l,L", "language", show=False),
    ]
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (60, "-slim"), (80, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (18, "-low"), (24, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        wizard: Wizard,
        desk: Desk,
        *,
        profile: TerminalProfile,
        run: RunFolder | None = None,
        look: Look = look_back,
        clock: Callable[[], float] = time.time,
        chat: Any = None,
    ):
        super().__init__(ansi_color=True if profile.plain_theme else None)  # NO_COLOR is looked at before the theme
        self.wizard, self.desk, self.profile, self.clock, self.chat = wizard, desk, profile, clock, chat
        self.look, self.beginning = look, Beginning()
        self.run_folder = run
        self.started: Started | None = None
        self.snapshot: Snapshot | None = None
        self.crash: Exception | None = None
        self._refusal: tuple[Any, tuple[Problem, ...]] = ({}, ())  # answers, and why they could not be started
        self.remedy: Remedy | None = None  # what was changed so that the job fits, and can be taken back
        self.advanced = False  # whether rare settings are shown
        self.at = ""  # id of the step that is shown; empty beside the steps
        self.reached = "hardware"
        self.way_back: Callable[[], None] | None = None  # from a run that was chosen, to where it was chosen
        self.starting: Progressed | None = None
        self.tried = False  # whether a start was: its files may have been written
        self.keyboard = Keyboard(self, super().on_event)
        self.lookups = Lookups(self, desk)
        self.downloads = Downloads(desk, self.lookups.fetched)
        self.boarding = Boarding()
        self.reading: float | None = None  # which share of a run's history was read
        self.suggested: dict[str, Any] = {}  # {question: what to fill in when it is opened next}
        self.given = dict(wizard.answers)  # that every beginning has
        self.untouched: dict[str, Any] = {}  # answers that need no draft: none, or those of a project as it was opened
        self._returning = False
        self._then: tuple[str, Callable[[], None]] | None = None
        self._disk = ThreadPoolExecutor(1)  # a busy disk may take seconds for a small file
        if profile.ascii_only:
            self._filters.append(AsciiFilter())

    async def on_event(self, event: events.Event) -> None:
        """Keys and pastes in turn; all else as it comes."""
        if isinstance(event, (events.Key, events.Paste)) and not event.is_forwarded:
            self.keyboard.strike(event)
        else:
            await super().on_event(event)

    # The way from step to step

    def on_mount(self) -> None:
        """The run that was asked for, or what there is to begin with."""
        self.theme = self.profile.theme
        catch_signals(self.leave)
        self.set_interval(self.profile.tick, self._tick)
        self.set_timer(UNDISTURBED, self._warm)
        if self.run_folder is not None:
            self.watch_run(self.run_folder)
            self.go("training")
        else:
            ways.begin(self)

    def _warm(self) -> None:
        from tui.warming import warm

        warm()

    def go(self, step_id: str, question: str = "") -> None:
        """Show a step; `question` is the one that is edited."""
        self.at = step_id
        self.downloads.acknowledge()
        self.wizard.speak(language())
        ids = [found.id for found in steps(self.wizard)]
        if step_id in ids and ids.index(step_id) > (ids.index(self.reached) if self.reached in ids else -1):
            self.reached = step_id
        self.show(screen_of(step_id, question))

    def forward(self) -> None:
        """The answers of this step are good: keep them and go on, or back to the review that they were edited from."""
        self._save()
        after = step("review") if self._returning else following(self.wizard, self.at)
        self._returning = False
        if after is not None:
            self.go(after.id)

    def back(self) -> None:
        """The step before; nothing is lost."""
        self._save()
        before = step("review") if self._returning else preceding(self.wizard, self.at)
        self._returning = False
        if before is not None:
            self.go(before.id)
        elif self.at == steps(self.wizard)[0].id:
            ways.begin(self)

    def edit(self, question_id: str) -> None:
        """From the review to where the question is asked; Enter and Esc come back."""
        from engine.wizard.table import table

        self._returning = True
        self.go(table()[question_id].step, question_id)

    def suggest(self, question_id: str, value: Any) -> None:
        """Ask a setting again at the review, with this filled in."""
        self.suggested = {question_id: value}
        self.go("review")

    def take_up(self, draft: Draft) -> None:
        """Go on with answers of earlier."""
        self.wizard, self.reached, self.untouched = draft.wizard(), draft.step, {}
        self.go(draft.step)

    def watch_run(self, run: RunFolder) -> None:
        """Follow a run from now on."""
        from tui.runwatch import RunWatch

        self.run_folder, self.snapshot, self.reading = run, None, None
        RunWatch(self, run, self.profile.tick).start()

    def begin(self, started: Started) -> None:
        """A run was started, or all had been done before: the draft has served."""
        self.started, self.way_back = started, None
        self._disk.submit(drafts.drop)
        if started.run is not None:
            self.watch_run(started.run)
        self.go("training" if started.run is not None else "finish")

    def another(self) -> None:
        """Fresh answers, from the first step."""
        self.wizard = Wizard(self.wizard.cwd, self.given)
        ways.leave_run(self)
        self.reached, self.untouched = "hardware", {}
        self.go("hardware")

    def action_language(self) -> None:
        """The next language, at once and from now on; nothing else of the screen changes."""
        if isinstance(self.screen, ModalScreen):
            return  # what is read or asked there is over soon
        codes = list(LANGUAGES)
        code = codes[(codes.index(language()) + 1) % len(codes)]
        set_language(code)
        self._disk.submit(remember_language, code)
        self.wizard.speak(code)
        for screen in self.screen_stack:
            if isinstance(screen, StepScreen) and screen.drawn:
                screen.relabel()

    def show(self, screen: Screen[Any]) -> None:
        """Another screen instead of this one; the question whether to leave stays over it."""
        if not self.is_running:  # all screens are being closed
            return
        leaving = isinstance(self.screen, LeaveDialog)
        while isinstance(self.screen, ModalScreen):
            self.pop_screen()
        if len(self.screen_stack) > 1:
            self.switch_screen(screen)
        else:
            self.push_screen(screen)
        if leaving:
            self.push_screen(LeaveDialog())

    @property
    def cursor_position(self) -> Offset:
        """Where the terminal's cursor stands: screen readers, Braille displays and input methods follow it.

        Asked for whenever something is drawn, so that it is where the keys go, whatever has moved.
        """
        return cursor_of(self.screen) if self._screen_stack else Offset(0, 0)

    @cursor_position.setter
    def cursor_position(self, position: Offset) -> None:
        """Textual's own fields set it too; theirs is one cell off at the end, and stays when the focus goes."""

    # What is looked up

    def find(self, step_id: str, then: Callable[[], None] | None = None) -> None:
        """Look up what the step needs as it is answered now, and ahead of it what the next one will; `then` is called
        once nothing is missing. A look without `then` leaves an Enter that waits as it is."""
        if then is not None:
            self._then = (step_id, then)
        self._look(step_id)

    def _look(self, step_id: str) -> None:
        after = following(self.wizard, step_id)
        ahead = self.wizard.needs(after.id) if after and after.asks else []
        wished = wishes(self.wizard, step_id, self.lookups.under_way)
        self.lookups.want([*self.wizard.needs(step_id), *ahead, *wished])

    def on_found(self, message: Found) -> None:
        """A fact arrived."""
        self.lookups.under_way.pop(message.request, None)
        self.wizard.learn(message.request, message.found)
        self._looked()

    def on_refused(self, message: Refused) -> None:
        """Something could not be looked up; its step says why."""
        self.lookups.under_way.pop(message.request, None)
        self.wizard.refuse(message.request, message.problems)
        self._looked()

    def _looked(self) -> None:
        if self.at and step(self.at).asks:
            self._look(self.at)
        self._refresh()
        if self._then and self._then[0] == self.at and not self.wizard.needs(self.at):
            then, self._then = self._then[1], None
            then()

    def on_fetched(self, message: Fetched) -> None:
        """A model is here now, or why it is not stands on the screen."""
        if self.downloads.now and self.downloads.now.state == "done":
            arrived(self.wizard)
            if self.at and step(self.at).asks:
                self._look(self.at)
        self._refresh()

    # The start

    @property
    def refusal(self) -> tuple[Problem, ...]:
        """Why these answers could not be started; nothing once they are others."""
        answers, problems = self._refusal
        return problems if answers == self.wizard.answers else ()

    def start(self) -> None:
        """Write the project and start its run."""
        self._refusal = ({}, ())
        self.starting, self.tried = Progressed(STARTING, 0, 0), True
        self.lookups.start(self.wizard)

    def on_progressed(self, message: Progressed) -> None:
        """How far the start is."""
        self.starting = message

    def on_start_done(self, message: StartDone) -> None:
        """The run is there, or the review says why it is not."""
        self.starting = None
        if message.started is not None:
            self.begin(message.started)
        else:
            self._refusal = (dict(self.wizard.answers), message.problems)
            self._save()
            self._refresh()
            if self.is_running:
                self.screen.post_message(NotStarted())

    # What is watched

    def on_run_reading(self, message: RunReading) -> None:
        """How much of a long history has been read."""
        if self._watches(message.path):
            self.reading = message.share
            self._refresh()

    def on_board_opened(self, message: BoardOpened) -> None:
        """TensorBoard answers, or says why not."""
        self.boarding.opened(message)
        self._refresh()

    def on_run_changed(self, message: RunChanged) -> None:
        """The run has something new."""
        if self._watches(message.path):
            self.snapshot = message.snapshot
            self._refresh()

    def _watches(self, path: Path) -> bool:
        """What a thread had said when its run was left comes after it."""
        return self.run_folder is not None and self.run_folder.path == path

    def _tick(self) -> None:
        if terminal_gone():  # without a signal, where SIGHUP is ignored as under nohup
            self.leave(LOST)
        if self.starting or self.downloads.running or self.lookups.under_way:
            self._refresh(tick=True)

    def _refresh(self, *, tick: bool = False) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, StepScreen) and screen.drawn:
                screen.refresh_waiting() if tick else screen.refresh_body()

    # The end

    @property
    def traceless(self) -> bool:
        """Whether nothing was written: no project, and nothing of a model."""
        return not (self.tried or self.downloads.begun)

    def keep_draft(self) -> None:
        """Keep the answers, unless a run was started from them; after one that failed they may be edited again."""
        if self.wizard.answers != self.untouched and (not self.at or step(self.at).asks):
            drafts.save(self.wizard, step(self.reached))

    def _save(self) -> None:
        if self.wizard.answers == self.untouched:
            return  # those of earlier stay
        copy = Wizard(self.wizard.cwd, self.wizard.answers)
        copy.started = self.wizard.started
        self._disk.submit(drafts.save, copy, step(self.reached))

    def action_leave(self) -> None:
        """Ask whether to leave; asked twice, leave."""
        if isinstance(self.screen, LeaveDialog):
            self.leave(0)
        else:
            self.push_screen(LeaveDialog())

    def leave(self, code: int) -> None:
        """End the wizard; a run goes on."""
        self.desk.cancel()
        self.downloads.stop()
        if terminal_gone():
            vanish(self.keep_draft, code)
        self.exit(return_code=code)

    def action_help(self) -> None:
        """What is under the cursor, the keys and the words."""
        from tui.screens.help import HelpPane

        screen = self.screen
        if isinstance(screen, StepScreen):
            self.push_screen(HelpPane(self.wizard, screen.topic(), screen.failure_page(), screen.step))
        elif not isinstance(screen, HelpPane):
            self.push_screen(HelpPane(self.wizard, ""))

    def last_words(self) -> list[str]:
        """For the normal screen, after the end."""
        return last_words(self)

    def _handle_exception(self, error: Exception) -> None:
        """Textual would print a traceback with local values; ours goes to crash.log, by whoever opened the app."""
        self.crash = self.crash or error
        super()._handle_exception(error)
        self._exit_renderables.clear()
