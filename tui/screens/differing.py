"""How the files of the project differ from those that are there, before any of them makes room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.differences import differences
from engine.errors import Problem
from engine.wizard.session import Tree, Wizard
from tui.beside import beside
from tui.filewords import difference_words
from tui.screens.pane import TextPane
from tui.widgets import Words
from tui.widgets.footer import Key
from tui.words import _, problem_text


class DifferencePane(TextPane):
    """`r` has them replaced, `n` takes another folder, Esc changes nothing. The screen below takes what was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "choose('replace')", show=False),
        Binding("n", "choose('folder')", show=False),
    ]

    @dataclass
    class Compared(Message):
        """The differences as text."""

        text: str

    @dataclass
    class Chosen(Message):
        """replace or folder. starting: Start waits for it."""

        what: str
        starting: bool

    def __init__(self, wizard: Wizard, tree: Tree, *, starting: bool):
        super().__init__(_("Files that are there already and differ: - is there, + would be"), _("Comparing …"))
        self.folder, self.planned, self.starting = wizard.folder(), tree, starting
        self.blocked = any(file.state == "in the way" for file in tree.files)

    def keys(self) -> Sequence[Key]:
        """What can be done about them."""
        if not self.blocked:
            return super().keys()
        replace = _("replace and start") if self.starting else _("replace")
        return [("r", replace), ("n", _("another folder")), *super().keys()]

    def above(self) -> ComposeResult:
        """What becomes of those that are there."""
        if self.blocked:
            yield Words(_("What is replaced is kept, with the time in its name."), id="kept")

    def on_mount(self) -> None:
        """Files are read beside the keyboard."""
        folder, files = self.folder, self.planned.files

        def refused(problems: tuple[Problem, ...]) -> Message:
            return self.Compared("\n".join(map(problem_text, problems)))

        beside(self.post_message, lambda: self.Compared(difference_words(differences(folder, files))), refused)

    def on_difference_pane_compared(self, message: Compared) -> None:
        """They are known."""
        self.show(message.text)

    def action_choose(self, what: str) -> None:
        """To the screen below."""
        if self.blocked:
            below = self.app.screen_stack[-2]
            self.dismiss()
            below.post_message(self.Chosen(what, self.starting))
