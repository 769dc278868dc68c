"""What a chosen way on from a failure does at the screen. Starting again is left to the screen that asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

from engine.errors import Problem
from engine.failures import page_named
from engine.runs import index
from engine.runs.actions import Answers, Command, Disk, Edit, Fix, Log, Page, Row, Watch, command_of
from engine.runs.folder import RunFolder
from engine.runs.leftovers import leftovers
from engine.runs.retry import Retry
from engine.runs.view import Snapshot
from engine.wizard.mending import log_file, question_of, run_config, suggestion
from tui.beside import beside
from tui.failurepage import failure_text
from tui.fixpage import leftover_words, row_words
from tui.pager import show_log
from tui.screens.pane import TextPane
from tui.shell import command_lines
from tui.words import _, problem_text, say

if TYPE_CHECKING:
    from tui.app import WizardApp


FIRST_ASKED = {"hardware": "gpu"}  # questions of steps that have another name


class Read(Message):
    """Something to read was found, or why it could not be."""

    def __init__(self, title: str, text: str):
        super().__init__()
        self.title, self.text = title, text


class RunFound(Message):
    """A run that is to be watched."""

    def __init__(self, run: RunFolder):
        super().__init__()
        self.run = run


def mend(
    app: WizardApp, seen: Snapshot | None, fix: Fix, start: Callable[[Retry], None], post: Callable[[Message], object]
) -> None:
    """Do it. seen: None where there was no run. start: starts it again; post: takes what was read beside the loop."""
    run, action = RunFolder(seen.path) if seen else None, fix.action

    def read(title: str, work: Callable[[], str]) -> None:
        beside(post, lambda: Read(title, work()), why_not)

    def why_not(problems: tuple[Problem, ...]) -> Read:
        return Read(say(fix.label), "\n".join(map(problem_text, problems)))

    match action:
        case Retry():
            start(action)
        case Edit():
            app.suggest(question_of(action.key), suggestion(app.wizard, action))
        case Answers("review"):
            app.go("review")
        case Answers():
            app.edit(FIRST_ASKED.get(action.step, action.step))
        case Row():
            read(f"{action.file}:{action.line}", lambda: row_words(action.file, action.line))
        case Command():
            line = command_of(fix, "")
            told = _("At a shell on this machine, beside this window or after leaving it:")
            app.push_screen(TextPane(say(fix.label), "\n".join([told, "", *command_lines(line, app.size.width - 2)])))
        case Disk():
            cells, config = app.size.width - 2, seen.config if seen else run_config(app.wizard)

            def found() -> str:
                return leftover_words(leftovers(run, config, index.known()), cells)

            read(_("What can be deleted"), found)
        case Log():
            show_log(app, run.log_file if run else log_file())
        case Page():
            page = page_named(action.name)
            app.push_screen(TextPane(say(fix.label), failure_text(page) if page else ""))
        case Watch():
            beside(post, lambda: RunFound(index.find(action.run, app.wizard.cwd)), why_not)
