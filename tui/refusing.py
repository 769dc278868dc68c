"""The ways on at plain prompts: a numbered list, what one of them shows, and those of a start that was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Problem, ProblemError
from engine.failures import page_named
from engine.runs import index
from engine.runs.actions import Answers, Command, Disk, Edit, Fix, Log, Page, Row, Watch, command_of
from engine.runs.folder import RunFolder
from engine.runs.leftovers import leftovers
from engine.runs.logs import tail
from engine.runs.retry import Retry
from engine.wizard.mending import (
    is_written,
    log_file,
    question_of,
    run_config,
    start_command,
    suggestion,
    take,
    ways_from,
)
from engine.wizard.session import Wizard
from engine.wizard.table import table
from tui.failurepage import failure_text
from tui.fixpage import fix_lines, leftover_words, row_words
from tui.prompts import Prompts
from tui.words import _, say

if TYPE_CHECKING:
    from tui.asking import Asker

WIDTH = 78  # of lines that a command is broken at
LOG_LINES = 100


def choose_way(prompts: Prompts, found: Sequence[Fix]) -> Fix | None:
    """Told with numbers, one of which is asked for; None for Enter."""
    prompts.tell()
    for line in fix_lines(found):
        prompts.tell(line)
    while text := prompts.ask(_("What next, a number, or Enter to leave it so:")).strip():
        if text.isdecimal() and 0 < int(text) <= len(found):
            return found[int(text) - 1]
        prompts.tell(_("Type a number from 1 to {most}.").format(most=len(found)))
    return None


def tell_way(fix: Fix, prompts: Prompts, run: RunFolder | None, config: Mapping[str, Any], log: Path) -> None:
    """What there is to read or to type. run, config: as `leftovers` has them."""
    match fix.action:
        case Row(file, line):
            prompts.tell(row_words(file, line))
        case Disk():
            prompts.tell(leftover_words(leftovers(run, config, index.known()), WIDTH))
        case Log():
            for logged in tail(log, LOG_LINES):
                prompts.tell(logged)
        case Command():
            prompts.tell(_("At a shell: {command}").format(command=command_of(fix, "")))
        case Page(name):
            page = page_named(name)
            prompts.tell(failure_text(page) if page else "")


def suggest(action: Edit, wizard: Wizard, prompts: Prompts) -> None:
    """What is suggested becomes the answer, which the review lists and lets change."""
    name, value = question_of(action.key), suggestion(wizard, action)
    if value is not None and not wizard.answer(name, value):
        told = {"key": say(table()[name].label), "value": say(wizard.shown(name))}
        prompts.tell(_("{key} is now {value} in your answers.").format_map(told))


def start_again(asker: Asker, problems: Sequence[Problem]) -> bool:
    """Whether to start again after these; what a person chose instead is done, and their answers come next."""
    wizard, prompts = asker.wizard, asker.prompts
    while True:
        fix = choose_way(prompts, ways_from(wizard, problems))
        match fix.action if fix else Answers("review"):
            case Retry() as retry:
                if fix and (line := start_command(wizard, fix, there=is_written(wizard))):
                    prompts.tell(_("The same at a shell: {command}").format(command=line))
                found = take(wizard, retry)
                asker.tell_problems(found)
                if not found:
                    return True
            case Edit() as edit if edit.value is None and edit.key != "project":
                asker.edit(table()[question_of(edit.key)])
                return False
            case Edit() as edit:
                suggest(edit, wizard, prompts)
                return False
            case Answers(step):
                first = next(iter(wizard.questions(step)), None)
                if step != "review" and first is not None:
                    asker.edit(first)
                return False
            case Watch(run):
                _watch(asker, run)
            case _other:
                assert fix is not None
                tell_way(fix, prompts, None, run_config(wizard), log_file())


def _watch(asker: Asker, run: str) -> None:
    """Another run, until it ends or Ctrl+C."""
    from tui.watching import watch

    try:
        watch(index.find(run, asker.wizard.cwd), asker.prompts)
    except ProblemError as error:
        asker.tell_problems(list(error.problems))
