"""Ways on from a failure: a list whose digits do their row at once, and below it why the current one may help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from engine.runs.actions import Fix
from tui.shell import command_lines
from tui.widgets import Words
from tui.widgets.picker import Picker, Row
from tui.words import _, say


class FixList(Picker):
    """Posts Picked with the number of the way, from 0."""

    def __init__(self) -> None:
        super().__init__(digits=True, id="fixes")

    def action_number(self, number: int) -> None:
        """A digit: that one, at once."""
        if number <= len(self.rows):
            super().action_number(number)
            self.action_pick()


class Ways(Vertical):
    """Takes no room and no keys while there are none. command: what does a way at a shell; empty where nothing does."""

    DEFAULT_CSS = """
    Ways { height: auto; }
    Ways FixList { margin-top: 1; max-height: 9; }
    Ways #how { margin-bottom: 1; }
    """

    @dataclass
    class Chosen(Message):
        """Enter on a way, or its digit."""

        fix: Fix

    def __init__(self, command: Callable[[Fix], str]):
        super().__init__()
        self.command = command
        self.fixes: Sequence[Fix] = ()

    def compose(self) -> ComposeResult:
        """The list and the words."""
        yield FixList()
        yield Words(id="how")

    def show(self, fixes: Sequence[Fix]) -> None:
        """Other ways, the first of which is then the current one; the list gets the keys where nothing else has."""
        found = self.query_one(FixList)
        if fixes != self.fixes:
            self.fixes = fixes
            found.show([Row(place, say(fix.label)) for place, fix in enumerate(fixes)], 0)
        self.display = bool(fixes)
        if fixes and self.screen.focused is None:
            found.focus()
        elif not fixes and found.has_focus:
            self.screen.set_focus(None)
        self._explain()

    @property
    def current(self) -> Fix | None:
        """The one that Enter does."""
        return self.fixes[self.query_one(FixList).place] if self.fixes else None

    @on(Picker.Moved, "#fixes")
    def _moved(self, message: Picker.Moved) -> None:
        message.stop()
        self._explain()

    @on(Picker.Picked, "#fixes")
    def _picked(self, message: Picker.Picked) -> None:
        message.stop()
        if self.current is not None:
            self.post_message(self.Chosen(self.current))

    def _explain(self) -> None:
        """Why it may help, and what does the same at a shell."""
        fix, told = self.current, []
        if fix is not None:
            line, why = self.command(fix), say(fix.why)
            told = [why] if line in ("", why) else [why, in_lines(line, self.size.width)]
        self.query_one("#how", Words).show("\n".join(filter(None, told)))


def in_lines(command: str, cells: int) -> str:
    """A command that can be copied from lines of this width."""
    told = _("At a shell: {command}").format(command=command)
    if not cells or cell_len(told) <= cells:
        return told
    return "\n".join([_("At a shell:"), *command_lines(command, cells)])
