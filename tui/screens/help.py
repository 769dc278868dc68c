"""`?`: what is under the cursor, the keys, advice, and the words of the trade in a sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from engine.wizard.session import Wizard
from tui.helptext import help_page
from tui.screens.pane import TextPane
from tui.widgets.field import Field
from tui.widgets.footer import Key
from tui.words import _


class HelpPane(TextPane):
    """Opened from anywhere; topic: the id of a question or step that is explained first, after the page of a failure.

    step: whose keys are told. `/` looks for a word.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "find", show=False)]

    def __init__(self, wizard: Wizard, topic: str, failure: str = "", step: str = ""):
        self.page = partial(help_page, wizard, topic, failure=failure, step=step)
        super().__init__(_("Help"), self.page())

    def above(self) -> ComposeResult:
        """The line to type in."""
        yield Field(id="finding", placeholder=_("a word, such as rank or slow; Esc shows all again"))

    def keys(self) -> Sequence[Key]:
        """`/` as well."""
        return [("↑ ↓", _("scroll")), ("/", _("find")), ("Esc", _("close"))]

    def action_find(self) -> None:
        """Type a word."""
        field = self.query_one(Field)
        field.display = True
        field.focus()

    def action_close(self) -> None:
        """Back to the whole page, then back to the step."""
        field = self.query_one(Field)
        if not field.display:
            super().action_close()
            return
        field.fill("")
        field.display = False
        self.read_on()

    @on(Input.Changed, "#finding")
    def _typed(self, message: Input.Changed) -> None:
        self.show(self.page(message.value))

    @on(Input.Submitted, "#finding")
    def _found(self) -> None:
        self.read_on()
