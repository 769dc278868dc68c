"""Up to four runs beside each other: their losses in one picture, what came of them, which settings differ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.errors import Problem
from engine.runs.comparing import Comparison, compare
from engine.runs.folder import RunFolder
from engine.runs.listing import trained
from tui import comparepage, ways
from tui.beside import beside
from tui.screens.base import StepScreen
from tui.widgets import Words
from tui.widgets.curves import CurvesChart
from tui.words import _


class Compared(Message):
    """The runs were read, or why they could not be."""

    def __init__(self, found: Comparison | None, problems: tuple[Problem, ...] = ()):
        super().__init__()
        self.found, self.problems = found, problems


class CompareScreen(StepScreen):
    """Read once; `r` reads again, for runs that go on. back: the step that the list leads back to."""

    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    CompareScreen #rail { display: none; }
    CompareScreen CurvesChart { height: 45%; min-height: 8; margin-bottom: 1; }
    CompareScreen #table { text-wrap: nowrap; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "scale", show=False),
        Binding("r", "read", show=False),
        Binding("up", "scroll_lines(-1)", show=False),
        Binding("down", "scroll_lines(1)", show=False),
    ]

    def __init__(self, runs: Sequence[RunFolder], back: str = ""):
        super().__init__()
        self.runs, self.back = runs, back
        self.found: Comparison | None = None
        self.reading = False
        self.failure: tuple[Problem, ...] = ()

    def body(self) -> ComposeResult:
        """The picture and the tables."""
        yield CurvesChart(self.wizard_app.profile.ascii_only)
        yield Words(id="table")

    def arrive(self) -> None:
        """Read the runs beside the loop."""
        super().arrive()
        self.action_read()

    def intro(self) -> str:
        """The picture says it."""
        return ""

    def title_line(self) -> str:
        """Where we are."""
        return _("sft-wizard · {count} runs compared").format(count=len(self.runs))

    def hints(self) -> Sequence[tuple[str, str]]:
        """Reading on, the picture, and back."""
        log = self.query_one(CurvesChart).log_scale
        scale = _("linear") if log else _("logarithmic")
        return [("↓", _("more")), ("c", scale), ("r", _("read again")), ("Esc", _("back"))]

    def problems(self) -> Sequence[Problem]:
        """Why there is nothing to see."""
        return self.failure

    def waiting(self) -> str:
        """While they are read."""
        return _("Reading the runs …") if self.reading and self.found is None else ""

    def refresh_body(self) -> None:
        """The picture and the tables at this size."""
        super().refresh_body()
        chart, found = self.query_one(CurvesChart), self.found
        curves = [run.curve for run in found.runs] if found else []
        chart.display = any(curves)
        chart.show_curves(curves)
        cells = self.query_one("#body").scrollable_content_region.width
        lines = comparepage.compared(found, self.wizard_app.clock(), cells) if found else []
        if found and not any(curves):
            lines = [_("None of them has trained a step."), "", *lines]
        self.query_one("#table", Words).show("\n".join(lines))

    def action_back(self) -> None:
        """To the list, where they are still marked."""
        ways.list_runs(self.wizard_app, self.back, [run.path for run in self.runs])

    def action_scale(self) -> None:
        """Linear or logarithmic."""
        self.query_one(CurvesChart).toggle_scale()
        self.refresh_body()

    def action_read(self) -> None:
        """As they are now."""
        if not self.reading:
            self.reading = True
            runs = self.runs
            beside(self.post_message, lambda: Compared(compare([*map(trained, runs)])), partial(Compared, None))
            self.refresh_waiting()

    def action_scroll_lines(self, by: int) -> None:
        """A line at a time."""
        self.query_one("#body").scroll_relative(y=by, animate=False)

    def on_compared(self, message: Compared) -> None:
        """Draw them."""
        self.reading, self.failure = False, message.problems
        self.found = message.found or self.found
        self.refresh_body()
