"""The first screen where there is something to take up again: a run that is alive, or answers of earlier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import on
from textual.app import ComposeResult

from engine.runs.folder import RunFolder
from engine.runs.status import status
from engine.wizard.steps import step as step_of
from tui.phases import state_title
from tui.screens.base import StepScreen
from tui.screens.hardware import other_language
from tui.widgets import Words
from tui.widgets.picker import Picker, Row
from tui.words import _, say

DRAFT, ANEW = "draft", "anew"


class OfferScreen(StepScreen):
    """Nothing is lost by beginning anew: the run goes on, and the draft stays until there are other answers."""

    AUTO_FOCUS = "#offers"

    def body(self) -> ComposeResult:
        """Runs first."""
        app = self.wizard_app
        rows = [Row(run.path, _("Watch {run}").format(run=run.id), _standing(run)) for run in app.live]
        if app.draft is not None:
            at = _("at the step {step}").format(step=say(step_of(app.draft.step).title))
            rows.append(Row(DRAFT, _("Go on with your answers"), at))
        rows.append(Row(ANEW, _("Begin anew")))
        yield Picker(rows, id="offers")
        yield Words(id="note")

    def intro(self) -> str:
        """Why this is asked."""
        return _("There is something to take up again.")

    def refresh_body(self) -> None:
        """Where the draft was begun, or the run lies."""
        super().refresh_body()
        draft, key = self.wizard_app.draft, self.query_one("#offers", Picker).key
        folder = draft.cwd if draft is not None and key == DRAFT else key if isinstance(key, Path) else None
        self.query_one("#note", Words).show(_("In {folder}").format(folder=folder) if folder else "")

    def hints(self) -> Sequence[tuple[str, str]]:
        """The other language is offered in its own name."""
        return [("Enter", _("go on")), ("l", other_language())]

    def action_back(self) -> None:
        """This is the first screen."""

    @on(Picker.Moved)
    def _moved(self) -> None:
        self.refresh_body()

    @on(Picker.Picked)
    def _picked(self, message: Picker.Picked) -> None:
        app = self.wizard_app
        run = next((run for run in app.live if run.path == message.key), None)
        if run is not None:
            app.watch_run(run)
            app.go("training")
        elif message.key == DRAFT and app.draft is not None:
            app.take_up(app.draft)
        else:
            app.go("hardware")


def _standing(run: RunFolder) -> str:
    """Its state, and how far it is."""
    found = status(run)
    if not found.total:
        return state_title(found.state)
    far = _("{state}, step {step} of {total}")
    return far.format(state=state_title(found.state), step=found.step, total=found.total)
