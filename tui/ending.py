"""After Start at plain prompts: watching the run in lines, the answers before and after, a chat, and what was made."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.errors import EXIT_OK, ProblemError
from engine.runs.folder import RunFolder
from engine.runs.results import Merging, keep, results
from engine.text import Phrase, clean
from engine.wizard.desk import Desk, Started
from engine.wizard.session import Wizard
from tui.finishpage import markdown, page
from tui.prompts import Prompts
from tui.refusing import WIDTH
from tui.running import tell_outputs
from tui.talking import talk
from tui.watching import watch, watch_on
from tui.words import _, problem_line, say

ANSWER_LENGTH = 300
YES = ("y", "yes", "是")

Talk = Callable[[str], object]


def talk_here(folder: str) -> object:
    """A conversation with a project's model, as `sft-wizard chat` has it."""
    return talk(folder, None, False, None, longest=512, temperature=0.0, overrides=())


def conclude(wizard: Wizard, started: Started, desk: Desk, prompts: Prompts, talk: Talk) -> int | None:
    """Everything after the start; the exit code, or None where the person wants to change answers and start again."""
    if started.run is None:
        prompts.tell(_("Nothing to do: this config has been run to its end (--fresh does it anew)."))
    else:
        watched = watch_on(started.run, desk, prompts, wizard)
        started = replace(started, run=watched.run)
        if watched.ending.left_running:
            return EXIT_OK
        if watched.ending.exit_code != EXIT_OK:
            return None if watched.answers else watched.ending.exit_code
    folder = started.config.parent
    outputs = {**started.outputs, **(started.run.outputs() if started.run else {})}
    _tell_answers(_answers(folder, outputs), prompts)
    run, found = started.run, results(started.run, started.config, outputs)
    if found.merging and _yes(prompts, _("Merge it: one model that any tool serves? [y/N]")):
        run, outputs = _merge(found.merging, run, outputs, desk, prompts)
        found = results(run, started.config, outputs)
    if found.usable and _yes(prompts, _("Talk to it? [y/N]")):
        try:
            talk(str(folder))
        except ProblemError as error:
            _tell_problems(error, prompts)
    prompts.tell()
    for line in page(found, WIDTH):
        prompts.tell(line)
    if _yes(prompts, _("Write these lines to a file? [y/N]")):
        try:
            prompts.tell(_("Written: {path}").format(path=keep(found, markdown(found))))
        except OSError as error:
            prompts.tell(_("Not written: {reason}").format(reason=error.strerror or error))
    tell_outputs(outputs)
    return EXIT_OK


def _merge(
    merging: Merging, trained: RunFolder | None, outputs: dict[str, str], desk: Desk, prompts: Prompts
) -> tuple[RunFolder | None, dict[str, str]]:
    """The run that tells what there is now, and what that is: those before where the merge does not come about."""

    def progress(what: Phrase, done: int, total: int) -> None:
        if not done:
            prompts.tell(f"{say(what)} …")

    try:
        started = desk.merge(merging, progress)
    except ProblemError as error:
        _tell_problems(error, prompts)
        return trained, outputs
    if started.run is None:  # it had been merged before
        return trained, {**outputs, **started.outputs}
    if watch(started.run, prompts).exit_code != EXIT_OK:
        return trained, outputs
    return started.run, {**outputs, **started.run.outputs()}


def _tell_problems(error: ProblemError, prompts: Prompts) -> None:
    for problem in error.problems:
        prompts.tell(problem_line(problem))


def _tell_answers(answers: Sequence[dict[str, Any]], prompts: Prompts) -> None:
    """Before and after, one below the other."""
    for answer in answers:
        prompts.tell()
        prompts.tell(_("Question: {text}").format(text=clean(answer["question"], ANSWER_LENGTH)))
        prompts.tell(_("Before: {text}").format(text=clean(answer["base"], ANSWER_LENGTH)))
        prompts.tell(_("After: {text}").format(text=clean(answer["tuned"], ANSWER_LENGTH)))
    if answers:
        prompts.tell()


def _answers(folder: Path, outputs: dict[str, str]) -> list[dict[str, Any]]:
    """Of this run; where it had nothing to do, of the newest that asked."""
    files = [Path(outputs["answers"])] if "answers" in outputs else sorted(folder.glob("logs/*/answers.jsonl"))[-1:]
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def _yes(prompts: Prompts, asks: str) -> bool:
    return prompts.ask(asks).strip().lower() in YES
