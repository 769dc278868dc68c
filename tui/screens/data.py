"""What it learns from: a choice, one sample of it, and which column is which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from engine.errors import Problem
from engine.text import clean
from engine.wizard.facts import preview_line
from engine.wizard.inspection import inspection, page, refused, request, rows_of, ruin, summary
from engine.wizard.questions import Question
from engine.wizard.session import Wizard
from engine.wizard.table import table
from tui.screens.choosing import ChoiceScreen
from tui.widgets import Words, fit, pad
from tui.widgets.form import GO, Form
from tui.widgets.picker import Picker
from tui.words import _, say

PREVIEW_LINES = 3  # of a turn
PREVIEW_LENGTH = 180  # characters of a turn
MOST_COLUMNS = 5  # that are shown with what stands in them
LEAST = 40  # cells, before the width is known


class DataScreen(ChoiceScreen):
    """Columns that are not recognised are asked for in a form that takes the place of the choice."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "columns", show=False),
        Binding("v", "report", show=False),
        Binding("r", "rows", show=False),
    ]

    def body(self) -> ComposeResult:
        """The choice, the sample, and the form."""
        yield from super().body()
        yield Words(id="preview")
        form = Form(id="columns")
        form.display = False
        yield form

    def arrive(self) -> None:
        """From the review the form is opened at its question."""
        super().arrive()
        if self.edited in [question.id for question in self.details()]:
            self._open(self.edited)

    def details(self) -> list[Question]:
        """The questions of the form: all but the choice and what it leads to."""
        asked = self.wizard_app.wizard.questions(self.step, advanced=True)
        return [question for question in asked if question not in (self.main, self.typed)]

    @property
    def form_open(self) -> bool:
        """Whether columns are being chosen."""
        return bool(self.query_one(Form).display)

    def intro(self) -> str:
        """In the form: what it is for."""
        if not self.is_mounted or not self.form_open:
            return super().intro()
        if self.wizard_app.wizard.source() is None:
            return _("What stands in the sample's rows, to be put in your words. Enter changes a line.")
        return _("Which column is which, and what goes before each row. Enter changes a line.")

    def refresh_body(self) -> None:
        """The sample as it is read now."""
        wizard, form = self.wizard_app.wizard, self.query_one(Form)
        super().refresh_body()
        self.query_one("#choices").display = not self.form_open
        note = self.query_one("#note", Words)
        note.display = bool(note.text) and not self.form_open
        self.query_one("#intro", Words).show(self.intro())
        if self.form_open:
            form.show(wizard, _("Go on with these"), self.details())
        shown = "" if self.given else sample_words(wizard.preview())
        if self.form_open and not shown:
            shown = column_words(wizard, self.query_one("#body").content_size.width or LEAST)
        self.query_one("#preview", Words).show("" if form.editing else shown)

    def refresh_waiting(self) -> None:
        """How long every row is being looked at, too."""
        super().refresh_waiting()
        self.show_about()

    def show_about(self) -> None:
        """What is known of the data, and of every row."""
        lines = [*map(say, self.wizard_app.wizard.about(self.step)), *self.checked()]
        self.query_one("#about", Words).show("" if self.given else "\n".join(lines))

    def show_typed(self) -> None:
        """Not beside the form."""
        super().show_typed()
        if self.form_open:
            self.query_one("#typed").display = False

    def checked(self) -> list[str]:
        """What was found out about every row, in a line."""
        app = self.wizard_app
        asked, said = request(app.wizard), summary(app.wizard)
        if said is not None:
            return [say(said)]
        if asked is None or (found := app.lookups.elapsed([asked])) is None:
            return []
        words = _("Checking every row …")
        return [_("{what} ({seconds} s)").format(what=words, seconds=found[1]) if found[1] else words]

    def problems(self) -> Sequence[Problem]:
        """In the form, nothing is missing before a person wants to go on. What would ruin the run keeps nobody here:
        the settings may mend it."""
        missing = [] if self.form_open and not self.tried else super().problems()
        return [*missing, *ruin(self.wizard_app.wizard)]

    def hints(self) -> Sequence[tuple[str, str]]:
        """`a` where there is more to ask, `v` and `r` where every row was looked at."""
        if not self.is_mounted or self.typing:
            return super().hints()
        more = []
        if self.details():
            own = self.wizard_app.wizard.source() is not None
            more.append(("a", _("columns") if own else _("change the names")))
        if found := inspection(self.wizard_app.wizard):
            more += [("v", _("check"))] if found.review or found.problems else []
            more += [("r", _("see rows"))] if found.rows else []
        return [*super().hints(), *more]

    def settled(self) -> None:
        """Columns that say nothing open the form."""
        wizard = self.wizard_app.wizard
        unknown = [problem for problem in wizard.problems(self.step) if problem.code == "columns_unknown"]
        if unknown and not self.form_open:
            self._open(self.details()[0].id)
        else:
            super().settled()

    def action_columns(self) -> None:
        """Open or close the form."""
        if self.form_open:
            self._shut()
        elif self.details():
            self._open(GO)

    def action_report(self) -> None:
        """The report on every row, or another try to get it."""
        from tui.screens.checked import ReportPane

        app = self.wizard_app
        if found := inspection(app.wizard):
            self.app.push_screen(ReportPane(found, ascii_only=app.profile.ascii_only))
        elif refused(app.wizard):
            app.wizard.forget_refusals()
            app.find(self.step)
            self.refresh_body()

    def action_rows(self) -> None:
        """Row by row."""
        from tui.screens.checked import RowsPane

        app = self.wizard_app
        found, asked = inspection(app.wizard), request(app.wizard)
        if found and found.rows and asked:
            desk = app.desk
            self.app.push_screen(
                RowsPane(
                    found,
                    lambda at: rows_of(desk.find(page(asked, at), lambda what, done, total: None)),
                    ascii_only=app.profile.ascii_only,
                )
            )

    def action_back(self) -> None:
        """Esc in the form leads to the choice."""
        if self.form_open:
            self._shut()
        else:
            super().action_back()

    @on(Form.Going)
    def _going(self) -> None:
        self.accept()

    @on(Form.Chosen)
    def _chosen(self, message: Form.Chosen) -> None:
        self.query_one(Form).edit(message.question)

    @on(Form.Changed)
    def _changed(self) -> None:
        wizard, self.tried = self.wizard_app.wizard, False
        self.wizard_app.find(self.step)
        self.refresh_body()
        problems = wizard.problems(self.step)
        wanting = [problem.code.removeprefix("column_of_") for problem in problems if "column_of_" in problem.code]
        if not problems or wanting:  # the column that is still to be chosen is next
            self.query_one(Form).focus_rows(f"map_{wanting[0]}" if wanting else GO)

    def _open(self, question: str) -> None:
        form, self.tried = self.query_one(Form), False
        form.display = True
        self.refresh_body()
        form.focus_rows(question)

    def _shut(self) -> None:
        self.query_one(Form).display = False
        self.refresh_body()
        self.query_one("#choices", Picker).focus()


def column_words(wizard: Wizard, cells: int) -> str:
    """The first columns, what stands in each, and what it was chosen for."""
    chosen = {column: table()[f"map_{target}"].label for target, column in wizard.mapping().items()}
    columns = wizard.columns()
    names = {name: fit(name, cells // 3) for name in columns[:MOST_COLUMNS]}
    width = max(map(cell_len, names.values()), default=0)
    lines = []
    for name, shown in names.items():
        role = f"  ({say(chosen[name])})" if name in chosen else ""
        room = cells - width - 2 - cell_len(role)
        lines.append(f"{pad(shown, width)}  {fit(wizard.examples().get(name, ''), room)}{role}")
    more = len(columns) - MOST_COLUMNS
    return "\n".join([*lines, _("and {more} more").format(more=more)] if more > 0 else lines)


def sample_words(turns: Sequence[tuple[str, str]]) -> str:
    """Who says what in the first sample."""
    lines = []
    for voice, text in turns:
        said = "\n".join(clean(text[:PREVIEW_LENGTH]).splitlines()[:PREVIEW_LINES])
        lines.append(_("{who}: {said}").format(who=say(preview_line(voice)), said=said))
    return "\n".join(lines)
