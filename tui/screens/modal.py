"""What lies over a step for a while: dialogs, texts to read, lists of files."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, ScreenResultType


class Modal(ModalScreen[ScreenResultType]):
    """Closes once: of keys that are struck twice, the second must not close what lies below."""

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Back to what was there before."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
