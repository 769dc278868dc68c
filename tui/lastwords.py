"""What stands on the normal screen after the wizard has left the other one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.text import clean
from tui.phases import state_title
from tui.report import command
from tui.words import _

if TYPE_CHECKING:
    from tui.app import WizardApp


def last_words(app: WizardApp) -> list[str]:
    """Two to four lines: the run and its folder, or the answers that are kept, and how to go on."""
    if app.run_folder is not None:
        return [clean(line) for line in _of_run(app)]
    if app.starting:
        return [
            _("The run is being started and needs nobody to watch it."),
            _("To see it: {command}").format(command=f"{command()} runs"),
        ]
    if app.started is not None:
        return [clean(_("Everything had been done before: {folder}").format(folder=app.started.config.parent))]
    if app.wizard.answers != app.untouched or app.beginning.draft is not None:
        kept = _("Your answers are kept. To go on with them: {command}").format(command=command())
        return [kept, _("Nothing was started.")]
    nothing = _("Nothing was written.") if app.traceless else _("Nothing was started.")
    return [nothing, _("To begin again: {command}").format(command=command())]


def _of_run(app: WizardApp) -> list[str]:
    run, seen = app.run_folder, app.snapshot
    assert run is not None
    state = seen.status.state if seen else "running"
    lines = [_("Run {run}: {state}").format(run=run.id, state=state_title(state)), f"  {run.path}"]
    if state in ("starting", "running", "stopping", "elsewhere"):
        lines.append(_("It goes on by itself. To watch it: {command}").format(command=f"{command()} attach {run.id}"))
    elif state != "finished":
        lines.append(_("To go on with it: {command}").format(command=f"{command()} resume {run.id}"))
    if app.started is not None:
        lines.append(_("The same without questions: {command}").format(command=app.wizard.command()))
    return lines
