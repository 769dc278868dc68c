"""What was made, how it came out, how to serve it, how to do it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.errors import Problem
from engine.runs.results import Merging, Results, keep, results
from engine.text import Phrase, clean
from engine.wizard.desk import Started
from tui import ways
from tui.beside import beside
from tui.finding import Progressed
from tui.finishpage import PARTS, markdown, parts
from tui.screens.base import StepScreen, problem_words
from tui.widgets import Words
from tui.words import _

MERGING = Phrase("Starting the merge")


class Gathered(Message):
    """What there is to say was read, or why it could not be."""

    def __init__(self, found: Results | None, problems: tuple[Problem, ...] = ()):
        super().__init__()
        self.found, self.problems = found, problems


class Kept(Message):
    """The lines were written to a file, or why not."""

    def __init__(self, file: Path | None, problems: tuple[Problem, ...] = ()):
        super().__init__()
        self.file, self.problems = file, problems


class MergeBegun(Message):
    """The merge was started, or why it could not be."""

    def __init__(self, started: Started | None, problems: tuple[Problem, ...] = ()):
        super().__init__()
        self.started, self.problems = started, problems


class FinishScreen(StepScreen):
    """Everything here can be typed on the normal screen later."""

    step = "finish"
    DEFAULT_CSS = """
    FinishScreen .head { text-style: bold; }
    FinishScreen .part { margin-bottom: 1; }
    FinishScreen #told { text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "finish", show=False),
        Binding("n", "another", show=False),
        Binding("a", "runs", show=False),
        Binding("c", "chat", show=False),
        Binding("m", "merge", show=False),
        Binding("w", "keep", show=False),
        Binding("down", "scroll_lines(1)", show=False),
        Binding("up", "scroll_lines(-1)", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.found: Results | None = None
        self.failure: tuple[Problem, ...] = ()
        self.file: Path | None = None  # that the lines were written to

    def body(self) -> ComposeResult:
        """A heading and its lines for every part."""
        yield Words(id="told", classes="part")
        for name in PARTS:
            yield Words(id=f"{name}-head", classes="head")
            yield Words(id=name, classes="part")

    def intro(self) -> str:
        """The headings say it."""
        return ""

    def hints(self) -> Sequence[tuple[str, str]]:
        """The ways out and on; with six others that there is more below is told by the scroll bar alone."""
        merge = [("m", _("merge"))] if self.found and self.found.merging else []
        chat = [("c", _("chat"))] if self.found and self.found.usable else []
        others = [*chat, *merge, ("w", _("save")), ("n", _("new")), ("a", _("all runs"))]
        return [("Enter", _("finish")), *([("↓", _("more"))] if len(others) < 5 else []), *others]

    def arrive(self) -> None:
        """Read what the run left, beside the loop."""
        super().arrive()
        self._gather({})

    def _gather(self, more: Mapping[str, str]) -> None:
        app = self.wizard_app
        run, started, seen = app.run_folder, app.started, app.snapshot
        outputs = {**(started.outputs if started and run is None else {}), **(seen.outputs if seen else {}), **more}
        config = started.config if started else Path("config.yaml")
        beside(self.post_message, lambda: Gathered(results(run, config, outputs)), partial(Gathered, None))

    def on_gathered(self, message: Gathered) -> None:
        """Draw it."""
        self.found, self.failure = message.found, message.problems
        self.refresh_body()

    def refresh_waiting(self) -> None:
        """At the top, since the page is longer than the screen: what is started, what failed, what was written."""
        written = _("Written: {path}").format(path=clean(self.file)) if self.file else ""
        self.query_one("#told", Words).show(self.waiting() or problem_words(self.failure) or written)

    def refresh_body(self) -> None:
        """Nothing is cut: long sentences go on in the next line, and so do commands, after a backslash."""
        super().refresh_body()
        if self.found is None:
            return
        width = self.query_one("#body").scrollable_content_region.width
        shown = {part.id: part for part in parts(self.found)}
        for name in PARTS:
            part = shown.get(name)
            self.query_one(f"#{name}-head", Words).show(part.head if part else "")
            self.query_one(f"#{name}", Words).show("\n".join(part.lines(width)) if part else "")

    def accept(self) -> None:
        """Enter: leave."""
        self.wizard_app.leave(0)

    def action_back(self) -> None:
        """Esc: to the talk once more."""
        self.action_chat()

    def action_chat(self) -> None:
        """To the talk once more."""
        if self.found and self.found.usable and not self.wizard_app.starting:
            self.wizard_app.go("chat")

    def action_finish(self) -> None:
        """Leave."""
        self.wizard_app.leave(0)

    def action_another(self) -> None:
        """From the first step, with fresh answers."""
        if not self.wizard_app.starting:
            self.wizard_app.another()

    def action_runs(self) -> None:
        """To this run beside those of earlier."""
        if not self.wizard_app.starting:
            ways.list_runs(self.wizard_app)

    def action_scroll_lines(self, by: int) -> None:
        """A line at a time."""
        self.query_one("#body").scroll_relative(y=by, animate=False)

    # What takes its time

    def action_keep(self) -> None:
        """Write these lines to a file beside the project."""
        found = self.found
        if found is not None:
            text = markdown(found)
            beside(self.post_message, lambda: Kept(keep(found, text)), partial(Kept, None))

    def on_kept(self, message: Kept) -> None:
        """Say where."""
        self.failure, self.file = message.problems, message.file
        self._tell()

    def action_merge(self) -> None:
        """Start the merge of what was only trained so far."""
        app = self.wizard_app
        if self.found and self.found.merging and not app.starting:
            self.failure, self.file = (), None
            app.starting = Progressed(MERGING, 0, 0)
            beside(self.post_message, partial(self._merge, self.found.merging), partial(MergeBegun, None))
            self._tell()

    def _tell(self) -> None:
        self.query_one("#body").scroll_home(animate=False)
        self.refresh_body()

    def _merge(self, merging: Merging) -> MergeBegun:
        def progress(what: Phrase, done: int, total: int) -> None:
            self.app.post_message(Progressed(what, done, total))

        return MergeBegun(self.wizard_app.desk.merge(merging, progress))

    def on_merge_begun(self, message: MergeBegun) -> None:
        """Watch it, or say why there is none."""
        app = self.wizard_app
        app.starting, self.failure = None, message.problems
        if message.started is None:
            self._tell()
        elif message.started.run is None:  # it had been merged before
            self._gather(message.started.outputs)
        else:
            app.wizard.answer("merge", True)  # the way leads through it now
            app.begin(message.started)
