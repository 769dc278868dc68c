"""What this machine has."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from tui.screens.base import StepScreen
from tui.widgets import Words
from tui.words import LANGUAGES, _, language, say


class HardwareScreen(StepScreen):
    """Nothing is decided here: Enter goes on."""

    step = "hardware"

    def body(self) -> ComposeResult:
        """The facts."""
        yield Words(id="about")

    def refresh_body(self) -> None:
        """The facts that are known."""
        super().refresh_body()
        lines = self.wizard_app.wizard.about(self.step)
        self.query_one("#about", Words).show("\n".join(say(line) for line in lines))

    def hints(self) -> Sequence[tuple[str, str]]:
        """The other language is offered in its own name."""
        return [("Enter", _("go on")), ("l", other_language())]

    def action_back(self) -> None:
        """This is the first step."""


def other_language() -> str:
    """The name of the language that the language key brings."""
    codes = list(LANGUAGES)
    return LANGUAGES[codes[(codes.index(language()) + 1) % len(codes)]]
