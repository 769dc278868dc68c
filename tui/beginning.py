"""The first question at plain prompts: what to take up again, to open or to begin."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import ProblemError
from engine.runs import index
from engine.runs.comparing import MOST, compare
from engine.runs.folder import RunFolder
from engine.runs.listing import listed, trained
from engine.runs.results import results
from engine.runs.retry import Retry
from engine.text import Phrase
from engine.wizard.beginning import Beginning, Look, newest
from engine.wizard.desk import Desk, Started
from engine.wizard.opening import open_project
from engine.wizard.session import Wizard
from engine.wizard.steps import Step, step, steps
from tui import comparepage
from tui.beginpage import (
    ANEW,
    ANSWERS,
    DRAFT,
    MERGE,
    OTHER,
    RESUME,
    RUNS,
    TALK,
    Offer,
    offers,
    project_offers,
)
from tui.ending import Talk
from tui.prompts import Prompts
from tui.words import (
    LANGUAGES,
    _,
    language,
    other_language,
    problem_line,
    remember_language,
    say,
    set_language,
)

TONGUE = "tongue"


@dataclass(frozen=True)
class Begun:
    """What was chosen: a run to watch, or a wizard and the step where it goes on.

    untouched: answers that need no draft.
    """

    run: RunFolder | None = None
    wizard: Wizard | None = None
    at: Step | None = None
    untouched: bool = False


class Begin:
    """Asks until something was chosen. What cannot be opened is told, and the list comes again."""

    def __init__(self, wizard: Wizard, desk: Desk, prompts: Prompts, talk: Talk, look: Look):
        self.wizard, self.desk, self.prompts, self.talk, self.look = wizard, desk, prompts, talk, look

    def ask(self) -> Begun:
        """What next?"""
        while True:
            *_sooner, found = self.look(self.wizard.cwd)
            if self.wizard.answers:
                found = replace(found, draft=None)
            tongue = Offer(TONGUE, other_language(), "")
            key = self._choose([*offers(found, time.time()), tongue])
            try:
                begun = self._take(key, found)
            except ProblemError as error:
                for problem in error.problems:
                    self.prompts.tell(problem_line(problem))
                continue
            if begun is not None:
                return begun

    def _take(self, key: object, found: Beginning) -> Begun | None:
        if key == TONGUE:
            codes = list(LANGUAGES)
            set_language(codes[(codes.index(language()) + 1) % len(codes)])
            remember_language(language())
            return None
        if key == ANEW:
            return Begun(wizard=self.wizard, at=steps(self.wizard)[0])
        if key == DRAFT and found.draft is not None:
            return Begun(wizard=found.draft.wizard(), at=step(found.draft.step))
        if key == RUNS:
            return self._runs()
        if key == OTHER:
            text = self.prompts.ask(_("Its folder, or a training config of LLaMA-Factory:")).strip()
            return self._open(self.wizard.path(text)) if text else None
        if isinstance(key, tuple):
            return self._open(Path(str(key[1])))
        return Begun(run=next(seen.run for seen in found.live if seen.run.path == key))

    def _open(self, path: Path) -> Begun | None:
        """A project: what its newest run allows, or its answers at the review."""
        opened = open_project(path)
        run = newest(opened.root) if opened.root else None
        key = ANSWERS
        for note in opened.notes:
            self.prompts.tell(problem_line(note))
        if run is not None:
            self.prompts.tell(_("The project in {folder}").format(folder=opened.file.parent))
            key = str(self._choose(project_offers(run)))
        if key == ANSWERS or run is None:
            return Begun(wizard=opened.wizard(self.wizard.cwd), at=step("review"), untouched=True)
        if key == TALK:
            self.talk(str(opened.file.parent))
            return None
        started: Started | None = None
        if key == RESUME:
            started = self.desk.resume(run.run, Retry(), self._progress)
        elif key == MERGE and (merging := results(run.run, opened.file, run.run.outputs()).merging):
            started = self.desk.merge(merging, self._progress)
        return Begun(run=started.run if started and started.run else run.run)

    def _runs(self) -> Begun | None:
        """All runs in lines: one number opens a run, several compare them."""
        runs = [listed(run) for run in index.known(self.wizard.cwd)]
        now = time.time()
        for number, found in enumerate(runs, 1):
            self.prompts.tell(f"  {number}. {comparepage.run_words(found, now)}")
        while True:
            asks = _("A number opens a run, two to {most} numbers compare them, Enter goes back:")
            words = self.prompts.ask(asks.format(most=MOST)).replace(",", " ").split()
            chosen = [runs[int(word) - 1] for word in words if word.isdecimal() and 0 < int(word) <= len(runs)]
            if not words:
                return None
            if len(chosen) != len(words) or len(chosen) > MOST:
                self.prompts.tell(_("Type numbers from 1 to {most}.").format(most=len(runs)))
            elif len(chosen) == 1:
                return Begun(run=chosen[0].run)
            else:
                for line in comparepage.compared(compare([trained(found.run) for found in chosen]), now):
                    self.prompts.tell(line)

    def _choose(self, found: Sequence[Offer]) -> object:
        """One of the rows, by its number; Enter is the first."""
        for place, offer in enumerate(found, 1):
            line = _("{label}: {value}").format(label=offer.label, value=offer.value) if offer.value else offer.label
            self.prompts.tell(f"  {place}. {line}")
        return found[number(self.prompts, _("What next, number [1]:"), len(found)) - 1].key

    def _progress(self, what: Phrase, done: int, total: int) -> None:
        if not done:
            self.prompts.tell(say(what))


def number(prompts: Prompts, asks: str, most: int) -> int:
    """One of 1 to `most`; Enter is 1."""
    while True:
        text = prompts.ask(asks).strip() or "1"
        if text.isdecimal() and 0 < int(text) <= most:
            return int(text)
        prompts.tell(_("Type a number from 1 to {most}.").format(most=most))
