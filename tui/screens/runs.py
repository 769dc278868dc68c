"""The runs of this user: one is opened, up to four are compared."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from rich.cells import set_cell_size
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.errors import Problem
from engine.runs import index
from engine.runs.comparing import MOST
from engine.runs.listing import Listed, listed
from tui import comparepage, ways
from tui.beside import beside
from tui.screens.base import StepScreen
from tui.widgets import Words
from tui.widgets.picker import Picker, Row
from tui.words import _

AT_ONCE = 0.3  # seconds: rows that are read meanwhile come together
BEFORE = 6  # cells of a row before its columns: where it stands, and whether it is marked


class RunsRead(Message):
    """The next runs were read. done: there are no more."""

    def __init__(self, runs: Sequence[Listed], count: int, done: bool):
        super().__init__()
        self.runs, self.count, self.done = runs, count, done


class RunsUnread(Message):
    """They could not be read."""

    def __init__(self, problems: tuple[Problem, ...]):
        super().__init__()
        self.problems = problems


class RunList(Picker):
    """Rows whose labels are columns already."""

    def text(self, place: int, width: int) -> str:
        """The row as it is, with the current one marked."""
        return set_cell_size(f"{'>' if place == self.place else ' '} {self.rows[place].label}", width)


class RunsScreen(StepScreen):
    """Enter opens a run, space marks it. back: the step that Esc leads to; empty: to where a person begins.

    marked: folders in the order they were marked.
    """

    AUTO_FOCUS = "#runs"
    DEFAULT_CSS = """
    RunsScreen #rail { display: none; }
    RunsScreen #heads { height: 1; text-wrap: nowrap; color: $text-muted; padding-left: 6; }
    RunsScreen #runs { height: 1fr; min-height: 3; }
    RunsScreen #about { margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", show=False),
        Binding("c", "compare", show=False),
    ]

    def __init__(self, back: str = "", marked: Sequence[Path] = ()):
        super().__init__()
        self.back, self.marked = back, list(marked)
        self.found: list[Listed] = []
        self.count = 0
        self.done = False
        self.told = ""
        self.failure: tuple[Problem, ...] = ()

    def body(self) -> ComposeResult:
        """Columns, rows, and where the current one lies."""
        yield Words(id="heads")
        yield RunList(numbers=False, id="runs")
        yield Words(id="about")

    def arrive(self) -> None:
        """Read them beside the loop; those that are read are there to be opened."""
        super().arrive()
        cwd = self.wizard_app.wizard.cwd

        def read() -> RunsRead:
            runs, ready, said = index.known(cwd), [], time.monotonic()
            for run in runs:
                ready.append(listed(run))
                if time.monotonic() - said > AT_ONCE:
                    self.post_message(RunsRead(ready, len(runs), done=False))
                    ready, said = [], time.monotonic()
            return RunsRead(ready, len(runs), done=True)

        beside(self.post_message, read, RunsUnread)

    def intro(self) -> str:
        """The columns say it."""
        return ""

    def title_line(self) -> str:
        """Where we are."""
        return _("sft-wizard · all runs")

    def hints(self) -> Sequence[tuple[str, str]]:
        """What can be done with a run."""
        mark = ("Space", _("mark ({count} of {most})").format(count=len(self.marked), most=MOST))
        return [("Enter", _("open")), mark, ("c", _("compare the marked")), ("Esc", _("back"))]

    def problems(self) -> Sequence[Problem]:
        """Why there is no list."""
        return self.failure

    def waiting(self) -> str:
        """How many are read, or what the last key could not do."""
        if not self.done:
            return _("Reading the runs … ({done} of {total})").format(done=len(self.found), total=self.count or "?")
        return self.told or ("" if self.found else _("There are no runs yet."))

    def refresh_body(self) -> None:
        """The rows at this width."""
        super().refresh_body()
        picker = self.query_one("#runs", Picker)
        cells = max(20, self.query_one("#body").scrollable_content_region.width - BEFORE - 1)
        now = self.wizard_app.clock()
        picker.show([Row(found.run.path, self._label(found, now, cells)) for found in self.found])
        self.query_one("#heads", Words).show(comparepage.heads(cells))
        current = self._current()
        self.query_one("#about", Words).show(_about(current) if current else "")

    def action_back(self) -> None:
        """To where the list was opened."""
        if self.back:
            self.wizard_app.go(self.back)
        else:
            ways.begin(self.wizard_app)

    def action_mark(self) -> None:
        """Mark the current run, or no longer."""
        current, self.told = self._current(), ""
        if current is None:
            return
        if current.run.path in self.marked:
            self.marked.remove(current.run.path)
        elif len(self.marked) < MOST:
            self.marked.append(current.run.path)
        else:
            self.told = _("Only {most} can be told apart: unmark one first.").format(most=MOST)
        self.refresh_body()

    def action_compare(self) -> None:
        """Those that are marked, beside each other."""
        runs = [found.run for path in self.marked for found in self.found if found.run.path == path]
        if len(runs) < 2:
            self.told = _("Mark two to {most} runs with the space bar first.").format(most=MOST)
            self.refresh_body()
        else:
            ways.compare(self.wizard_app, runs, self.back)

    def on_runs_read(self, message: RunsRead) -> None:
        """More rows."""
        self.found += message.runs
        self.count, self.done = message.count, message.done
        self.refresh_body()

    def on_runs_unread(self, message: RunsUnread) -> None:
        """Say why."""
        self.done, self.failure = True, message.problems
        self.refresh_body()

    @on(Picker.Moved)
    def _moved(self) -> None:
        self.told = ""
        self.refresh_body()

    @on(Picker.Picked)
    def _picked(self, message: Picker.Picked) -> None:
        current = self._current()
        if current is not None:
            ways.watch(self.wizard_app, current.run, partial(ways.list_runs, self.wizard_app, "", self.marked))

    def _current(self) -> Listed | None:
        key: Any = self.query_one("#runs", Picker).key
        return next((found for found in self.found if found.run.path == key), None)

    def _label(self, found: Listed, now: float, cells: int) -> str:
        mark = "[x]" if found.run.path in self.marked else "[ ]"
        return f"{mark} {comparepage.row(found, now, cells)}"


def _about(found: Listed) -> str:
    """What a row has no room for."""
    lines = [_("In {folder}").format(folder=found.run.path)]
    names = _("{model}, trained on {data}").format(model=found.model, data=found.data) if found.data else found.model
    return "\n".join([*lines, *([names] if names else [])])
