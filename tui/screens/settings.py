"""Everything else, as a list to change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from engine.errors import Problem
from engine.wizard.ahead import ahead_lines
from tui.screens.estimate import EstimateScreen
from tui.widgets import Words
from tui.widgets.footer import Footer
from tui.widgets.form import Form
from tui.widgets.picker import Picker
from tui.words import _, say

ROOMY = 22  # lines of a screen on which all that follows from the settings is shown


class SettingsScreen(EstimateScreen):
    """The usual ones; `a` shows the rare ones as well, `/` finds any of them, `x` puts one back."""

    step = "settings"
    AUTO_FOCUS = "#rows"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("a", "advanced", show=False)]

    def body(self) -> ComposeResult:
        """The list, what follows from it, and what the job needs."""
        yield Form(id="settings")
        yield Words(id="ahead")
        yield Words(id="memory")

    def refresh_body(self) -> None:
        """Values as they are now."""
        app, form = self.wizard_app, self.query_one(Form)
        everything = app.advanced or bool(form.finding)
        questions = app.wizard.questions(self.step, advanced=everything)
        form.show(app.wizard, _("Go on with these"), questions, grouped=True)
        follows = [say(line) for line in ahead_lines(self.ahead())][: 2 if self.size.height >= ROOMY else 1]
        self.query_one("#ahead", Words).show("" if self.editing else "\n".join(follows))
        self.query_one("#memory", Words).show("" if self.editing else self.need_line())
        super().refresh_body()

    def problems(self) -> Sequence[Problem]:
        """Of values that do not go together."""
        return self.wizard_app.wizard.problems(self.step)

    def topic(self) -> str:
        """The setting under the cursor."""
        return self.query_one(Form).current or self.step

    def hints(self) -> Sequence[tuple[str, str]]:
        """What the keys do on the current row."""
        form = self.query_one(Form) if self.drawn else None
        name = form.current if form else ""
        rare = _("fewer settings") if self.wizard_app.advanced else _("all settings")
        back = _("show all again") if form and form.finding else _("back")
        changed = name and self.wizard_app.wizard.changed(name)
        return [
            ("Enter", _("change") if name else _("go on")),
            ("Esc", back),
            *([("x", _("default"))] if changed else []),
            *self.fit_hints(),
            ("a", rare),
            ("/", _("find")),
        ]

    def action_advanced(self) -> None:
        """Show the rare ones, or hide them."""
        self.wizard_app.advanced = not self.wizard_app.advanced
        self.refresh_body()

    @on(Picker.Moved, "#rows")
    def _moved(self) -> None:
        self.query_one(Footer).show_keys(self.keys())

    @on(Form.Going)
    def _going(self) -> None:
        self.accept()

    @on(Form.Chosen)
    def _chosen(self, message: Form.Chosen) -> None:
        self.query_one(Form).edit(message.question)

    @on(Form.Changed)
    def _changed(self) -> None:
        self.failed = ()
        self.refresh_body()
