"""All steps in a column: done, where we are, and what comes. In a slim window the title alone tells where we are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.wizard.steps import STEPS, steps
from tui.widgets import Words, pad
from tui.words import say

if TYPE_CHECKING:
    from tui.app import WizardApp

WIDTH = 14


class Rail(Words):
    """`✓` before what was passed, `>` before the step that is shown."""

    def __init__(self) -> None:
        super().__init__(id="rail")

    def refresh_steps(self, app: WizardApp) -> None:
        """Draw the steps that these answers lead through."""
        found = steps(app.wizard) if app.at else STEPS  # before the first, no question has to be looked at
        ids = [step.id for step in found]
        furthest = ids.index(app.reached) if app.reached in ids else 0
        lines = []
        for place, step in enumerate(found):
            mark = ">" if step.id == app.at else "✓" if place < furthest and app.at else " "
            lines.append(f"{mark} {pad(say(step.title), WIDTH - 2)}")
        self.show("\n".join(lines))
        self.styles.clear_rule("display")  # the style sheet knows whether there is room
