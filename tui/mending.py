"""What a chosen way on from a failure does at the screen. Starting a run again is left to the screen that asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

from engine.errors import Problem
from engine.runs import index
from engine.runs.actions import Answers, Command, Disk, Edit, Fix, Log, Row, command_of
from engine.runs.folder import RunFolder
from engine.runs.leftovers import leftovers
from engine.runs.retry import Retry
from engine.runs.view import Snapshot
from tui.beside import beside
from tui.fixpage import leftover_words, row_words
from tui.pager import show_log
from tui.screens.pane import TextPane
from tui.shell import command_lines
from tui.words import _, problem_text, say

if TYPE_CHECKING:
    from tui.app import WizardApp


class Read(Message):
    """Something to read was found, or why it could not be."""

    def __init__(self, title: str, text: str):
        super().__init__()
        self.title, self.text = title, text


def mend(
    app: WizardApp, seen: Snapshot, fix: Fix, start: Callable[[Retry], None], post: Callable[[Message], object]
) -> None:
    """Do it. start: starts the run again; post: takes what was read beside the loop."""
    run, action = RunFolder(seen.path), fix.action

    def read(title: str, work: Callable[[], str]) -> None:
        def why_not(problems: tuple[Problem, ...]) -> Read:
            return Read(title, "\n".join(map(problem_text, problems)))

        beside(post, lambda: Read(title, work()), why_not)

    match action:
        case Retry():
            start(action)
        case Edit():
            app.suggest(f"train.{action.key}", action.value)
        case Answers("review"):
            app.go("review")
        case Answers():
            app.edit(action.step)
        case Row():
            read(f"{action.file}:{action.line}", lambda: row_words(action.file, action.line))
        case Command():
            line = command_of(fix, seen.run)
            told = _("At a shell on this machine, beside this window or after leaving it:")
            app.push_screen(TextPane(say(fix.label), "\n".join([told, "", *command_lines(line, app.size.width - 2)])))
        case Disk():
            cells = app.size.width - 2

            def found() -> str:
                return leftover_words(leftovers(run, seen.config, index.known()), cells)

            read(_("What can be deleted"), found)
        case Log():
            show_log(app, run.log_file)
