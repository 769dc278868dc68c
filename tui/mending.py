"""What a chosen way on from a failure does at the screen. Starting a run again is left to the screen that asks."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from engine.errors import Problem
from engine.runs import index
from engine.runs.actions import Answers, Command, Disk, Edit, Fix, Log, Row, command_of
from engine.runs.folder import RunFolder
from engine.runs.leftovers import Leftover, leftovers
from engine.runs.retry import Retry
from engine.runs.view import Snapshot
from engine.text import clean
from engine.wizard.table import table
from tui.beside import beside
from tui.pager import show_log
from tui.phases import size_words
from tui.screens.pane import TextPane
from tui.shell import command_lines
from tui.words import _, problem_text, say

if TYPE_CHECKING:
    from tui.app import WizardApp

NEAR = 2  # lines shown before and after a row
LONGEST = 20_000  # characters of a row
SHOWN = 20  # leftovers


class Read(Message):
    """Something to read was found, or why it could not be."""

    def __init__(self, title: str, text: str):
        super().__init__()
        self.title, self.text = title, text


def usable(fix: Fix) -> bool:
    """Whether the wizard has a question for what is to be edited."""
    return not isinstance(fix.action, Edit) or f"train.{fix.action.key}" in table()


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
            read(f"{action.file}:{action.line}", lambda: row_words(Path(action.file), action.line))
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


def row_words(file: Path, line: int) -> str:
    """A line of a file between its neighbours, cleaned; a long one is cut."""
    first = max(1, line - NEAR)
    try:
        with file.open("rb") as stream:
            found = list(islice(stream, first - 1, line + NEAR))
    except OSError as error:
        return _("{file} cannot be read: {reason}").format(file=clean(file), reason=clean(error.strerror or error))
    lines = []
    for number, raw in enumerate(found, first):
        text = clean(raw.decode("utf-8", "replace").rstrip("\n"), LONGEST if number == line else 200)
        lines += [f"{'>' if number == line else ' '} {number}: {text}", ""]
    return "\n".join(lines) or _("The file has no line {line} any more.").format(line=line)


def leftover_words(found: list[Leftover], cells: int) -> str:
    """Each with its size and the command that deletes it, in lines of this width."""
    if not found:
        return _("Nothing of this tool's can be deleted here: free some space elsewhere on this disk.")
    lines = []
    for one in found[:SHOWN]:
        lines.append(f"{size_words(one.size):>8}  {say(one.what)}: {clean(one.path)}")
        lines += [f"          {line}" for line in command_lines(clean(shlex.join(one.command)), cells - 10)]
    if len(found) > SHOWN:
        lines.append(_("and {more} more").format(more=len(found) - SHOWN))
    return "\n".join(lines)
