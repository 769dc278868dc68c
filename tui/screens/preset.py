"""The memory preset: a choice, what speaks for it, and what the job needs with the current row."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult

from engine.errors import Problem
from engine.wizard.questions import Choice
from tui.screens.choosing import ChoiceScreen
from tui.screens.estimate import EstimateScreen
from tui.widgets import Words
from tui.widgets.memory import MemoryBar
from tui.widgets.picker import Picker
from tui.words import _, say

ROOMY = 22  # lines of a screen that has room for what the figure rests on


class PresetScreen(EstimateScreen, ChoiceScreen):
    """The bar moves with the row."""

    def body(self) -> ComposeResult:
        """The choice, why it, what was changed so that it fits, and the bar."""
        for widget in super().body():
            if widget.id != "about":
                yield widget
        yield Words(id="told")
        yield MemoryBar(self.wizard_app.profile.ascii_only, id="memory")
        yield Words(id="about")

    def refresh_body(self) -> None:
        """The need of the current row; what a key changed takes the place of the preset's reason."""
        super().refresh_body()
        told = self.told()
        self.query_one("#told", Words).show(told)
        self.query_one("#note").display = not told
        self.query_one("#about").display = False  # part of the note here
        roomy = self.size.height >= ROOMY and not told
        self.query_one(MemoryBar).show_need(self.need(), whole=roomy)

    def note(self, choice: Choice) -> str:
        """Why these settings, and why they are recommended."""
        wizard = self.wizard_app.wizard
        default = wizard.default(self.main.id)
        reason = say(default.reason) if choice.value == default.value else ""
        why = [_("Recommended: {reason}.").format(reason=reason)] if reason else []
        return "\n".join([*(say(line) for line in wizard.about(self.step)), *why])

    def hints(self) -> Sequence[tuple[str, str]]:
        """`f` where it does not fit, `u` where it was made to."""
        return [*super().hints(), *(self.fit_hints() if self.drawn else ())]

    def problems(self) -> Sequence[Problem]:
        """Presets of the person's own that cannot be used are told too; they keep nobody."""
        return [*super().problems(), *self.wizard_app.wizard.notes(self.step)]

    @on(Picker.Moved, "#choices")
    def _elsewhere(self) -> None:
        self.failed = ()
