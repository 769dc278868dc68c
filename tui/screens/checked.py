"""What was found out about every row: the report, and the rows themselves as the model will see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from engine.data.views import RowView
from engine.errors import Problem
from engine.wizard.inspection import Inspection
from tui.beside import beside
from tui.rowspage import Line, report_words, row_facts, row_lines, row_title
from tui.screens.pane import TextPane
from tui.widgets import Words
from tui.widgets.footer import Key
from tui.words import _, problem_text

Rows = tuple[RowView, ...]
MARGIN = 4  # cells of padding and scroll bar


class ReportPane(TextPane):
    """The report of `data check`, drawn anew for every width."""

    def __init__(self, found: Inspection, *, ascii_only: bool):
        super().__init__(_("What the run will learn from"), "")
        self.found, self.ascii_only = found, ascii_only

    def on_resize(self) -> None:
        """Lines of the width there is."""
        words = report_words(self.found, self.size.width - MARGIN, ascii_only=self.ascii_only)
        self.query_one("#pane-text Words", Words).show(words)


class Marked(Widget):
    """Lines of a row: what is only read is dim, and what is learnt has a mark in front besides."""

    DEFAULT_CSS = "Marked { height: auto; }"

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []

    def show(self, lines: list[Line]) -> None:
        """Show other lines."""
        if lines != self.lines:
            self.lines = lines
            self.refresh(layout=True)

    def render(self) -> Content:
        """The text: nothing in it is markup."""
        return Content("\n").join(Content(line.text) if line.learnt else _dim(line.text) for line in self.lines)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A line a line."""
        return max(len(self.lines), 1)


class RowsPane(TextPane):
    """One row at a time. fetch: the rows from a place on, which may take its time; it raises ProblemError."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,n", "go(1)", show=False),
        Binding("left,p", "go(-1)", show=False),
        Binding("t", "tokens", show=False),
    ]

    @dataclass
    class Fetched(Message):
        """More rows, or why there are none."""

        rows: Rows
        problems: tuple[Problem, ...] = ()

    def __init__(self, found: Inspection, fetch: Callable[[int], Rows], *, ascii_only: bool):
        super().__init__("", "")
        self.rows = {view.number: view for view in found.rows}
        self.total = found.rows[0].rows
        self.cutoff = found.review.cutoff_len if found.review else None
        self.fetch, self.ascii_only = fetch, ascii_only
        self.number, self.tokens = 1, False
        self.wanted = 0  # number of a row that is on its way
        self.problems: tuple[Problem, ...] = ()

    def above(self) -> ComposeResult:
        """What there is to know of the row."""
        yield Words(id="row-facts")

    def content(self) -> ComposeResult:
        """The row itself."""
        yield Marked()

    def on_resize(self) -> None:
        """Lines of the width there is."""
        self._draw()

    def _draw(self) -> None:
        view = self.rows[self.number]
        self.query_one("#pane-title", Words).show(row_title(view))
        facts = row_facts(view, self.cutoff)
        if self.wanted:
            facts.append(_("Reading further rows …"))
        facts += [_("! {problem}").format(problem=problem_text(problem)) for problem in self.problems]
        self.query_one("#row-facts", Words).show("\n".join([self._legend(), *facts]))
        width = self.size.width - MARGIN
        self.query_one(Marked).show(row_lines(view, width, tokens=self.tokens, ascii_only=self.ascii_only))
        self.tell_keys()

    def _legend(self) -> str:
        mark = "|" if self.ascii_only else "┃"
        if self.tokens:
            space = "_" if self.ascii_only else "·"
            words = _("{mark} is learnt, the rest only read. Tokens with their numbers in [ ]; {space} is a space.")
            return words.format(mark=mark, space=space)
        return _("{mark} is learnt, the rest only read.").format(mark=mark)

    def keys(self) -> Sequence[Key]:
        """What the keys do."""
        other = _("text") if self.tokens else _("tokens")
        return [("← →", _("other rows")), ("↑ ↓", _("scroll")), ("t", other), ("Esc", _("close"))]

    def action_go(self, by: int) -> None:
        """The next row, or the one before."""
        number = min(max(self.number + by, 1), self.total)
        if number in self.rows:
            self.number, self.wanted = number, 0
            self.query_one("#pane-text").scroll_home(animate=False)
        elif not self.wanted:
            self.wanted, self.problems = number, ()
            beside(
                self.post_message,
                lambda: self.Fetched(self.fetch(number - 1)),
                lambda problems: self.Fetched((), problems),
            )
        self._draw()

    @on(Fetched)
    def _fetched(self, message: Fetched) -> None:
        self.rows |= {view.number: view for view in message.rows}
        self.problems = message.problems
        if self.wanted in self.rows:
            self.number = self.wanted
            self.query_one("#pane-text").scroll_home(animate=False)
        self.wanted = 0
        self._draw()

    def action_tokens(self) -> None:
        """Token by token, or as text."""
        self.tokens = not self.tokens
        self._draw()


def _dim(text: str) -> Content:
    return Content.styled(text, "dim")
