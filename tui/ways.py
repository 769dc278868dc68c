"""Ways beside the steps: where a person begins, a project that is opened, and runs of earlier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.runs.folder import RunFolder
from engine.wizard.beginning import Seen
from tui.runwatch import RUN_GROUP

if TYPE_CHECKING:
    from engine.wizard.opening import Opened
    from tui.app import WizardApp


def begin(app: WizardApp) -> None:
    """What there is to take up again, to open or to begin."""
    from tui.screens.start import StartScreen

    leave_run(app)
    app.at = ""
    app.show(StartScreen())


def watch(app: WizardApp, run: RunFolder, back: Callable[[], None]) -> None:
    """A run that these answers did not start, as `attach` shows it; `back` is where Esc leads to."""
    leave_run(app)
    app.way_back = back
    app.watch_run(run)
    app.go("training")


def talk(app: WizardApp, run: RunFolder) -> None:
    """To what a run made."""
    leave_run(app)
    app.watch_run(run)
    app.go("chat")


def leave_run(app: WizardApp) -> None:
    """No longer watch a run; it goes on."""
    app.workers.cancel_group(app, RUN_GROUP)
    app.run_folder = app.started = app.snapshot = app.way_back = None


def open_project(app: WizardApp, opened: Opened, run: Seen | None) -> None:
    """A project's answers; what its newest run allows and what the wizard cannot express is shown before them."""
    from tui.screens.project import ProjectScreen

    app.wizard, app.reached = opened.wizard(app.wizard.cwd), "review"
    app.untouched = dict(app.wizard.answers)
    leave_run(app)
    if run is not None or opened.notes:
        app.at = ""
        app.show(ProjectScreen(opened, run))
    else:
        app.go("review")


def list_runs(app: WizardApp, back: str | None = None, marked: Sequence[Path] = ()) -> None:
    """The runs of this user; Esc leads to the step `back`, else to the one that is left."""
    from tui.screens.runs import RunsScreen

    back, app.at = app.at if back is None else back, ""
    if not back:
        leave_run(app)
    app.show(RunsScreen(back, marked))


def compare(app: WizardApp, runs: Sequence[RunFolder], back: str) -> None:
    """Some of them beside each other."""
    from tui.screens.comparing import CompareScreen

    app.show(CompareScreen(runs, back))
