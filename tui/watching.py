"""A run watched in lines at plain prompts, and where it does not end well, the ways on as a numbered list."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from engine.errors import EXIT_OK, EXIT_STOPPED, ProblemError
from engine.runs.actions import Answers, Edit
from engine.runs.board import board_folder
from engine.runs.events import EventReader
from engine.runs.folder import RunFolder
from engine.runs.follow import Ending, Viewer
from engine.runs.retry import Retry
from engine.runs.view import RunView
from engine.text import Phrase
from engine.wizard.desk import Desk
from engine.wizard.session import Wizard
from tui.attaching import tell_history, tell_left
from tui.fixpage import ways_on
from tui.prompts import Prompts
from tui.refusing import choose_way, suggest, tell_way
from tui.report import Report, command
from tui.running import has_terminal, tell_proof
from tui.words import _, problem_line, say


@dataclass(frozen=True)
class Watched:
    """The run that was watched last, and how it ended. answers: the person wants to change theirs."""

    run: RunFolder
    ending: Ending
    answers: bool = False


def watch(run: RunFolder, prompts: Prompts) -> Ending:
    """Show a run in lines until it ends; Ctrl+C only ends the watching."""
    view = RunView(run)
    seen = view.poll()
    prompts.tell(_("Ctrl+C ends the watching, not the run."))
    if not seen.outcome:
        prompts.tell(_("To stop and save it: {command}").format(command=f"{command()} stop {run.id}"))
        board = shlex.join(["tensorboard", "--logdir", str(board_folder(run, seen.config))])
        prompts.tell(_("Its curves in a browser: {command}").format(command=board))
    with Report(lines=True) as report:
        tell_history(report, seen)
        # One that is over by now has told its end already: read it once more.
        reader = EventReader(run.events_file) if seen.outcome else view.reader
        with Viewer(report.event, has_terminal(), attached=True) as viewer:
            ending = viewer.attach(run, reader)
        if ending.left_running:
            tell_left(report, view.poll())
        elif ending.event and ending.event["type"] == "failed":
            report.say(_("The log has the details: {path}").format(path=run.log_file))
        elif ending.exit_code == EXIT_STOPPED:
            again = f"{command()} resume {run.id}"
            report.say(_("Stopped. What was learned is saved; to go on: {command}").format(command=again))
        else:
            tell_proof(report)
    return ending


def watch_on(run: RunFolder, desk: Desk, prompts: Prompts, wizard: Wizard | None) -> Watched:
    """The same, and after a failure whatever is chosen, until the run ends well or the person leaves it so.

    wizard: whose answers started the run; None where they are not at hand.
    """
    while True:
        ending = watch(run, prompts)
        if ending.left_running or ending.exit_code in (EXIT_OK, EXIT_STOPPED):
            return Watched(run, ending)
        chosen = _choose(run, desk, prompts, wizard)
        if not isinstance(chosen, RunFolder):
            return Watched(run, ending, answers=chosen)
        run = chosen


def _choose(run: RunFolder, desk: Desk, prompts: Prompts, wizard: Wizard | None) -> RunFolder | bool:
    """The run that takes its place, True for back to the answers, False where it is left so."""
    while True:
        seen = RunView(run).poll()
        fix = choose_way(prompts, ways_on(seen, ours=wizard is not None))
        if fix is None:
            return False
        action = fix.action
        if isinstance(action, Retry):
            again = _again(run, action, desk, prompts)
            if again is not None:
                return again
        elif isinstance(action, Answers | Edit):
            if isinstance(action, Edit) and wizard is not None:
                suggest(action, wizard, prompts)
            return True
        else:
            tell_way(fix, prompts, run, seen.config, run.log_file)


def _again(run: RunFolder, retry: Retry, desk: Desk, prompts: Prompts) -> RunFolder | None:
    """The run that was started; None where it was not, which was told."""
    prompts.tell(_("The same at a shell: {command}").format(command=retry.command(run.id)))

    def progress(what: Phrase, done: int, total: int) -> None:
        if not done:
            prompts.tell(f"{say(what)} …")

    try:
        started = desk.resume(run, retry, progress)
    except ProblemError as error:
        for problem in error.problems:
            prompts.tell(problem_line(problem))
        return None
    for note in started.notes:
        prompts.tell(problem_line(note))
    return started.run
