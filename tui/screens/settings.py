"""Everything else, as a list to change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from engine.errors import Problem
from tui.screens.estimate import EstimateScreen
from tui.widgets import Words
from tui.widgets.form import Form
from tui.words import _


class SettingsScreen(EstimateScreen):
    """The usual ones; `a` shows the rare ones as well."""

    step = "settings"
    AUTO_FOCUS = "#rows"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("a", "advanced", show=False)]

    def body(self) -> ComposeResult:
        """The list, and what the job needs."""
        yield Form(id="settings")
        yield Words(id="memory")

    def refresh_body(self) -> None:
        """Values as they are now."""
        app = self.wizard_app
        questions = app.wizard.questions(self.step, advanced=app.advanced)
        self.query_one(Form).show(app.wizard, _("Go on with these"), questions)
        self.query_one("#memory", Words).show("" if self.editing else self.need_line())
        super().refresh_body()

    def problems(self) -> Sequence[Problem]:
        """Of values that do not go together."""
        return self.wizard_app.wizard.problems(self.step)

    def hints(self) -> Sequence[tuple[str, str]]:
        """`a` both ways; with `f` there is room for fewer words."""
        rare = _("fewer settings") if self.wizard_app.advanced else _("all settings")
        fit = self.fit_hints()
        return [("Enter", _("go on") if fit else _("go on or change")), ("Esc", _("back")), ("a", rare), *fit]

    def action_advanced(self) -> None:
        """Show the rare ones, or hide them."""
        self.wizard_app.advanced = not self.wizard_app.advanced
        self.refresh_body()

    @on(Form.Going)
    def _going(self) -> None:
        self.accept()

    @on(Form.Chosen)
    def _chosen(self, message: Form.Chosen) -> None:
        self.query_one(Form).edit(message.question)

    @on(Form.Changed)
    def _changed(self) -> None:
        self.told = ()
        self.refresh_body()
