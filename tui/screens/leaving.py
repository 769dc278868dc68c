"""Ctrl+C: what becomes of the run and of the answers, and whether to leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from tui.report import command
from tui.screens.modal import Modal
from tui.widgets import Words
from tui.widgets.picker import Picker, Row
from tui.words import _

if TYPE_CHECKING:
    from tui.app import WizardApp

STAY, LEAVE = "stay", "leave"


class LeaveDialog(Modal[None]):
    """Esc stays; Ctrl+C once more leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "stay", show=False)]

    def compose(self) -> ComposeResult:
        """What happens, and the two ways."""
        with Vertical(id="dialog"):
            yield Words(self.words())
            yield Picker([Row(STAY, _("Stay")), Row(LEAVE, _("Leave"))], id="ways")

    def words(self) -> str:
        """What leaving means now."""
        app = cast("WizardApp", self.app)
        if app.run_folder is not None:
            watch = f"{command()} attach {app.run_folder.id}"
            return _("The training run needs nobody to watch it and goes on. To see it again: {command}").format(
                command=watch
            )
        if app.starting:
            return _("The run is being started, and goes on. To see it: {command}").format(command=f"{command()} runs")
        if app.wizard.answers != app.untouched or app.beginning.draft is not None:
            kept = _("Your answers are kept and offered at the next start.")
        elif app.traceless:
            kept = _("No answer was changed, and nothing was written.")
        else:
            kept = _("No answer was changed.")
        stops = _("The download stops; what has arrived of it stays, and the next one goes on from there.")
        return " ".join([kept, *([stops] if app.downloads.running else [])])

    @on(Picker.Picked)
    def _picked(self, message: Picker.Picked) -> None:
        if message.key == LEAVE:
            cast("WizardApp", self.app).leave(0)
        else:
            self.dismiss()

    def action_stay(self) -> None:
        """Esc."""
        self.dismiss()
