"""The memory preset: a choice, and under it what the job needs with the current row."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult

from engine.errors import Problem
from tui.screens.choosing import ChoiceScreen
from tui.screens.estimate import EstimateScreen
from tui.widgets import Words
from tui.widgets.memory import MemoryBar
from tui.widgets.picker import Picker


class PresetScreen(EstimateScreen, ChoiceScreen):
    """The bar moves with the row."""

    def body(self) -> ComposeResult:
        """The choice, with the bar between what it is and why."""
        for widget in super().body():
            if widget.id == "about":
                yield MemoryBar(self.wizard_app.profile.ascii_only, id="memory")
            yield widget

    def refresh_body(self) -> None:
        """The need of the current row; what the key changed takes the place of the preset's reason."""
        super().refresh_body()
        self.query_one(MemoryBar).show_need(self.need())
        if told := self.told():
            self.query_one("#about", Words).show(told)

    def hints(self) -> Sequence[tuple[str, str]]:
        """`f` where it does not fit."""
        return [*super().hints(), *(self.fit_hints() if self.drawn else ())]

    def problems(self) -> Sequence[Problem]:
        """Presets of the person's own that cannot be used are told too; they keep nobody."""
        return [*super().problems(), *self.wizard_app.wizard.notes(self.step)]

    @on(Picker.Moved, "#choices")
    def _elsewhere(self) -> None:
        self.failed = ()
