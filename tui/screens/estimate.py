"""Steps that show what the job needs of the memory, and a key that makes it fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from engine.text import Phrase
from engine.wizard.memory import Need, Unknown, make_fit, need
from tui.screens.base import StepScreen
from tui.words import _, say


class EstimateScreen(StepScreen):
    """`f` answers the settings so that the job fits. told: what it changed, until something else is chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f", "make_fit", show=False)]
    told: tuple[Phrase, ...] = ()

    def need(self) -> Need | Unknown:
        """Of the job as it is answered now."""
        return need(self.wizard_app.wizard)

    def need_line(self) -> str:
        """The same in a line, where it is known, and what was changed for it."""
        found = self.need()
        known = [found.verdict_line] if isinstance(found, Need) else []
        return "\n".join(say(phrase) for phrase in (*known, *self.told))

    @property
    def too_large(self) -> bool:
        """Whether it does not fit."""
        found = self.need()
        return isinstance(found, Need) and found.verdict == "no"

    def fit_hints(self) -> Sequence[tuple[str, str]]:
        """The key, where it has something to do."""
        return [("f", _("make it fit"))] if self.too_large else []

    def action_make_fit(self) -> None:
        """Change what has to be changed, and say so."""
        if self.too_large and not self.wizard_app.starting and not self.editing:
            self.told = make_fit(self.wizard_app.wizard).lines
            self.refresh_body()
