"""Ways beside the steps: where a person begins, a project that is opened, and runs of earlier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.runs.folder import RunFolder
from engine.wizard.beginning import Seen
from engine.wizard.opening import Opened

if TYPE_CHECKING:
    from tui.app import WizardApp


def begin(app: WizardApp) -> None:
    """What there is to take up again, to open or to begin."""
    from tui.screens.start import StartScreen

    app.at = ""
    app.show(StartScreen())


def watch(app: WizardApp, run: RunFolder) -> None:
    """A run that these answers did not start: as `attach` shows it."""
    app.started = app.snapshot = None
    app.watch_run(run)
    app.go("training")


def talk(app: WizardApp, run: RunFolder) -> None:
    """To what a run made."""
    app.started = app.snapshot = None
    app.watch_run(run)
    app.go("chat")


def open_project(app: WizardApp, opened: Opened, run: Seen | None) -> None:
    """A project's answers; what its newest run allows is offered before them."""
    from tui.screens.project import ProjectScreen

    app.wizard, app.reached = opened.wizard(app.wizard.cwd), "review"
    app.untouched = dict(app.wizard.answers)
    app.run_folder = app.started = app.snapshot = None
    if run is not None:
        app.at = ""
        app.show(ProjectScreen(opened, run))
    else:
        app.go("review")


def list_runs(app: WizardApp) -> None:
    """The runs of this user; Esc leads back to the screen that is left."""
    from tui.screens.runs import RunsScreen

    back, app.at = app.at, ""
    app.show(RunsScreen(back))
