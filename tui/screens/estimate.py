"""Steps that show what the job needs of the memory: a key makes it fit, another one takes that back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from engine.text import Phrase
from engine.wizard.ahead import Ahead, ahead
from engine.wizard.memory import Need, Remedy, Unknown, make_fit, need
from tui.screens.base import StepScreen
from tui.words import _, say

NOTHING_DONE = Remedy(False, ())


class EstimateScreen(StepScreen):
    """`f` answers the settings so that the job fits, `u` puts back what it changed, as long as all of that stands.

    The remedy is the app's: what was changed on one step can be taken back on the next.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "make_fit", show=False),
        Binding("u", "undo_fit", show=False),
    ]
    failed: tuple[Phrase, ...] = ()  # why it could not be made to fit, until something else is chosen

    @property
    def remedy(self) -> Remedy:
        """What was changed so that it fits; nothing where that is no longer so."""
        app = self.wizard_app
        return app.remedy if app.remedy is not None and app.remedy.stands(app.wizard) else NOTHING_DONE

    def need(self) -> Need | Unknown:
        """Of the job as it is answered now."""
        return need(self.wizard_app.wizard)

    def ahead(self) -> Ahead | None:
        """Steps and disk of the run as it is answered now."""
        return ahead(self.wizard_app.wizard)

    def told(self) -> str:
        """What was changed, or why nothing could be."""
        return "\n".join(say(phrase) for phrase in self.failed or self.remedy.lines)

    def need_line(self) -> str:
        """The need in a line, where it is known, and what was changed for it."""
        found = self.need()
        known = [say(found.verdict_line)] if isinstance(found, Need) else []
        return "\n".join(filter(None, (*known, self.told())))

    @property
    def too_large(self) -> bool:
        """Whether it does not fit."""
        found = self.need()
        return isinstance(found, Need) and found.verdict == "no"

    def fit_hints(self) -> Sequence[tuple[str, str]]:
        """The key that has something to do."""
        if self.too_large:
            return [("f", _("make it fit"))]
        return [("u", _("undo the fit"))] if self.remedy.done else []

    def action_make_fit(self) -> None:
        """Change what has to be changed, and say so."""
        if self.too_large and not self.wizard_app.starting and not self.editing:
            found = make_fit(self.wizard_app.wizard)
            self.failed = () if found.done else found.lines
            if found.done:
                self.wizard_app.remedy = found
            self.refresh_body()

    def action_undo_fit(self) -> None:
        """The answers of before `f`."""
        if self.remedy.done and not self.wizard_app.starting and not self.editing:
            self.remedy.undo(self.wizard_app.wizard)
            self.wizard_app.remedy = None
            self.refresh_body()
