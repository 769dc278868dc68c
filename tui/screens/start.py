"""The first screen: what there is to take up again, to open, or to begin. Nothing is lost by any of it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from engine.errors import Problem
from engine.wizard.beginning import Beginning, Seen, newest
from engine.wizard.browsing import Wanted
from tui import ways
from tui.beginpage import ANEW, DRAFT, OTHER, RUNS, note, offers, tongues
from tui.beside import beside
from tui.screens.base import StepScreen
from tui.widgets import Words
from tui.widgets.field import Field
from tui.widgets.picker import Picker, Row
from tui.words import _, other_language

if TYPE_CHECKING:
    from engine.wizard.opening import Opened

CONFIGS = (".yaml", ".yml")


class Looked(Message):
    """What there is, as far as it was found."""

    def __init__(self, found: Beginning):
        super().__init__()
        self.found = found


class Read(Message):
    """A project was read, with its newest run; or why it could not be."""

    def __init__(self, opened: Opened | None, run: Seen | None, problems: tuple[Problem, ...] = ()):
        super().__init__()
        self.opened, self.run, self.problems = opened, run, problems


class StartScreen(StepScreen):
    """Rows appear as they are found; until the first look is back, Enter waits for it, unless a row was chosen.

    looking: it is not back yet. awaited: Enter was pressed meanwhile. moved: a person chose where the list stands.
    reading: a project that is read.
    """

    AUTO_FOCUS = "#offers"

    def __init__(self) -> None:
        super().__init__()
        self.looking, self.awaited, self.moved = True, False, False
        self.reading: Path | None = None
        self.failure: tuple[Problem, ...] = ()

    def body(self) -> ComposeResult:
        """The languages, the ways to begin, and a line for the path of a project."""
        yield Words(id="tongues")
        yield Picker(id="offers")
        yield Words(id="note")
        with Horizontal(id="typed"):
            yield Words(id="asked")
            yield Field(id="typing")

    def arrive(self) -> None:
        """Draw what is known, and look for what there is."""
        self.query_one("#typed").display = False
        super().arrive()
        app = self.wizard_app

        def look() -> Looked:
            found = app.beginning
            for found in app.look(app.wizard.cwd):
                if not found.whole:
                    self.post_message(Looked(found))
            return Looked(found)

        beside(self.post_message, look, lambda problems: Looked(app.beginning))

    def intro(self) -> str:
        """What the tool does, and that nothing happens by itself."""
        return _("Teach a language model from your own examples. Each step asks, explains and can be taken back.")

    def hints(self) -> Sequence[tuple[str, str]]:
        """The other language is offered in its own name."""
        if self.query_one("#typing").has_focus:
            return [("Enter", _("open it")), ("Esc", _("back to the list"))]
        back = [("Esc", _("back to the list"))] if self.query_one("#typed").display else []
        return [("Enter", _("go on")), *back, ("l", other_language())]

    def refresh_body(self) -> None:
        """The rows that are known, and what there is to know of the current one."""
        super().refresh_body()
        app, picker = self.wizard_app, self.query_one("#offers", Picker)
        found = [Row(offer.key, offer.label, offer.value) for offer in offers(app.beginning, app.clock())]
        picker.show(found, picker.key if self.moved else found[0].key)
        self.query_one("#tongues", Words).show(tongues())
        self.query_one("#asked", Words).show(_("Folder or file:"))
        self.query_one("#note", Words).show(note(app.beginning, picker.key))

    def problems(self) -> Sequence[Problem]:
        """Why a project could not be opened."""
        return self.failure

    def waiting(self) -> str:
        """What Enter waits for."""
        if self.reading is not None:
            return _("Reading {path} …").format(path=self.reading)
        return _("Looking for runs and projects …") if self.looking and self.awaited else ""

    def action_back(self) -> None:
        """This is the first screen; a path that is typed stays for the next time."""
        if self.query_one("#typed").display:
            self._type(False)

    def on_looked(self, message: Looked) -> None:
        """More is known."""
        self.looking, self.wizard_app.beginning = False, message.found
        self.refresh_body()
        if self.awaited:
            self.awaited = False
            self._take(self.query_one("#offers", Picker).key)

    @on(Picker.Moved)
    def _moved(self, message: Picker.Moved) -> None:
        if isinstance(message, Picker.Picked):
            return  # is one of these, too
        self.moved, self.awaited, self.failure = True, False, ()
        self.refresh_body()

    @on(Picker.Picked)
    def _picked(self, message: Picker.Picked) -> None:
        if self.looking and not self.moved:
            self.awaited = True
            self.refresh_body()
        else:
            self._take(message.key)

    def _take(self, key: Hashable) -> None:
        app = self.wizard_app
        run = next((seen.run for seen in app.beginning.live if seen.run.path == key), None)
        if run is not None:
            ways.watch(app, run, partial(ways.begin, app))
        elif key == DRAFT and app.beginning.draft is not None:
            app.take_up(app.beginning.draft)
        elif key == RUNS:
            ways.list_runs(app)
        elif key == OTHER:
            self._browse()
        elif isinstance(key, tuple):
            self._open(Path(str(key[1])))
        elif key == ANEW:
            app.another()

    # Another project

    def _browse(self) -> None:
        from tui.screens.files import Chosen, FileScreen

        def chosen(found: Chosen | None) -> None:
            if found is not None and found.path is not None:
                self._open(found.path)
            elif found is not None:
                self._type(True, found.typed)

        title = _("The config.yaml of a project, or a training config of LLaMA-Factory")
        self.app.push_screen(FileScreen(title, self.wizard_app.wizard.cwd, Wanted(CONFIGS)), chosen)

    def _type(self, shown: bool, text: str = "") -> None:
        self.query_one("#typed").display = shown
        field = self.query_one("#typing", Field)
        if shown:
            field.fill(text or field.value)
            field.focus()
        else:
            self.failure = ()
            self.query_one("#offers").focus()
        self.refresh_body()

    @on(Input.Submitted, "#typing")
    def _typed(self, message: Input.Submitted) -> None:
        message.stop()
        if message.value.strip():
            self._open(self.wizard_app.wizard.path(message.value))

    def _open(self, path: Path) -> None:
        if self.reading is not None:
            return
        self.reading, self.failure = path, ()

        def read() -> Read:
            from engine.wizard.opening import open_project

            opened = open_project(path)
            return Read(opened, newest(opened.root) if opened.root else None)

        beside(self.post_message, read, partial(Read, None, None))
        self.refresh_body()

    def on_read(self, message: Read) -> None:
        """Show it, or say why not; what was typed stays."""
        self.reading, self.failure = None, message.problems
        if message.opened is not None and self.is_active:
            ways.open_project(self.wizard_app, message.opened, message.run)
        else:
            self.refresh_body()
