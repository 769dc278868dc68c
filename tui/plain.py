"""The wizard as plain questions and numbered lists, for dumb terminals, screen readers and those who prefer them."""

from __future__ import annotations

import os
import sys
from typing import Any

from engine.differences import differences
from engine.errors import EXIT_INTERRUPTED, EXIT_OK, Problem, ProblemError
from engine.wizard import draft
from engine.wizard.ahead import ahead, start_line
from engine.wizard.beginning import Look, look_back
from engine.wizard.desk import Desk, Started
from engine.wizard.memory import Need, need
from engine.wizard.questions import Question
from engine.wizard.session import Wizard
from engine.wizard.steps import Step, following, preceding, step, steps
from engine.wizard.table import table
from tui.asking import BACK, Asker
from tui.beginning import Begin
from tui.changing import DEFAULT, HELP, numbered, tell_help
from tui.ending import Talk, conclude, talk_here
from tui.filewords import difference_words, state_of, yaml_words
from tui.prompts import Prompts, terminal_prompts
from tui.refusing import start_again
from tui.report import command
from tui.running import tell_outputs
from tui.watching import watch_on
from tui.words import _, language, noop, say, translate

LEAVE = "q"

_STATES = {
    "new": noop("new"),
    "same": noop("there already, the same"),
    "added to": noop("there already, added to"),
    "in the way": noop("there already, differs"),
    "replaced": noop("replaced, the old one is kept"),
}


def run_plain(
    wizard: Wizard,
    desk: Desk,
    *,
    prompts: Prompts | None = None,
    talk: Talk = talk_here,
    look: Look = look_back,
) -> int:
    """From the first question to the finished model; returns the exit code.

    talk: opens a conversation with the project in a folder. look: finds what there is to begin with. Raises ConfigError
    where there is nobody to ask.
    """
    if prompts is None:
        prompts = terminal_prompts(os.environ, can_ask=sys.stdin.isatty() and sys.stderr.isatty())
    dialogue = Dialogue(wizard, desk, prompts, talk, look)
    try:
        return dialogue.run()
    except (EOFError, KeyboardInterrupt):
        desk.cancel()
        dialogue.leave()
        return EXIT_INTERRUPTED


class Dialogue:
    """One pass through the steps. The draft is kept after every step and every answer of the review."""

    def __init__(self, wizard: Wizard, desk: Desk, prompts: Prompts, talk: Talk, look: Look):
        self.wizard, self.desk, self.prompts, self.talk, self.look = wizard, desk, prompts, talk, look
        self.untouched: dict[str, Any] = {}  # answers that need no draft
        self.asker = Asker(wizard, desk, prompts)
        self.now: Step = steps(wizard)[0]
        self.begun = self.starting = self.watching = False
        self.tried = False  # whether a start was: its files may have been written
        self._seen: object = None  # the files that were shown to differ

    def run(self) -> int:
        """Everything, in order."""
        self.prompts.tell(
            _("Teach a language model from your own examples. Each step asks, explains and can be taken back.")
        )
        self.prompts.tell(_("Enter takes what is in brackets, Ctrl+C leaves."))
        begun = Begin(self.wizard, self.desk, self.prompts, self.talk, self.look).ask()
        if begun.run is not None:
            self.watching = True
            watched = watch_on(begun.run, self.desk, self.prompts, None)
            tell_outputs(watched.run.outputs())
            return watched.ending.exit_code
        assert begun.wizard is not None and begun.at is not None
        self.wizard, self.now = begun.wizard, begun.at
        self.untouched = dict(self.wizard.answers) if begun.untouched else {}
        self.asker = Asker(self.wizard, self.desk, self.prompts)
        self.wizard.speak(language())
        self.prompts.tell(
            _("Enter takes what is in brackets. ? explains, < goes back, Ctrl+C leaves and keeps your answers.")
        )
        self.begun = True
        while True:
            self._questions()
            started = self._review()
            if started is None:
                self.leave()
                return EXIT_OK
            self.watching = True
            code = conclude(self.wizard, started, self.desk, self.prompts, self.talk)
            if code is not None:
                return code
            self.watching = False

    def leave(self) -> None:
        """The last two lines: what is kept and how to go on."""
        self.prompts.tell()
        if self.watching or self.starting:
            self.prompts.tell(_("The run needs nobody to watch it."))
            self.prompts.tell(_("To see it: {command}").format(command=f"{command()} runs"))
        elif self.begun and self.wizard.answers != self.untouched:
            self._keep()
            self.prompts.tell(_("Your answers are kept, up to the step {step}.").format(step=say(self.now.title)))
            self.prompts.tell(_("To go on: {command}").format(command=f"{command()} --plain"))
        else:
            self.prompts.tell(_("Nothing was started.") if self.tried else _("Nothing was written."))
            self.prompts.tell(_("To begin again: {command}").format(command=f"{command()} --plain"))

    def _questions(self) -> None:
        """The steps up to the review, there and back."""
        from_behind = False
        while self.now.id != "review":
            if self.asker.step(self.now, from_behind=from_behind):
                after = following(self.wizard, self.now.id)
                assert after is not None  # the review is there
                self.now, from_behind = after, False
            elif before := self._before(self.now):
                self.now, from_behind = before, True
            else:
                self.prompts.tell(_("This is the first question."))
                from_behind = False
            self._keep()

    def _before(self, now: Step) -> Step | None:
        """The nearest step before with something to ask."""
        before = preceding(self.wizard, now.id)
        while before and not self.wizard.questions(before.id):
            before = preceding(self.wizard, before.id)
        return before

    def _keep(self) -> None:
        if self.wizard.answers != self.untouched:
            draft.save(self.wizard, self.now)

    def _review(self) -> Started | None:
        """All that was answered and will be written, until it is started; None where the person leaves."""
        review = step("review")
        self.prompts.tell()
        self.prompts.tell(say(review.title).upper())
        self.prompts.tell(say(review.intro))
        shown: object = None  # the answers that stand above: what is read about them is not pushed away by them
        while True:
            self._look()
            if shown != self.wizard.answers:
                self._show_review()
                shown = dict(self.wizard.answers)
            answers = self.wizard.review()
            self.prompts.tell(
                _("y shows the YAML, d the differences, x NUMBER takes the default again, ? WORD explains.")
            )
            text = self.prompts.ask(_("Enter starts, a number changes an answer, < goes back, q leaves:")).strip()
            if text == LEAVE:
                return None
            if text == BACK:
                self.now, shown = self._before(review) or self.now, None
                self._questions()
            elif text.isdecimal() and 0 < int(text) <= len(answers):
                self.asker.edit(answers[int(text) - 1].question)
                self._keep()
            elif self._page(text, [answer.question for answer in answers]):
                self._keep()
            elif text:
                self.prompts.tell(_("Type a number from 1 to {most}.").format(most=len(answers)))
            else:
                seen = self._seen
                if started := self._started():
                    return started
                shown = shown if self._seen is not seen else None

    def _look(self) -> None:
        """Find out what the review needs."""
        for needed in ("model", "data", "review"):
            self.asker.look(needed, quiet=True)

    def _started(self) -> Started | None:
        """Start, as often as a way on from what comes in between is chosen; None where the answers come next."""
        while self._agreed():
            problems = self.wizard.problems("review")
            self.asker.tell_problems(problems)
            others = tuple(problem for problem in problems if problem.code != "files_in_the_way")
            if problems and not others:
                if not self._replaced():
                    return None
                continue
            found = others or self._start()
            if isinstance(found, Started):
                return found
            again = start_again(self.asker, found)
            self.wizard.forget_refusals()
            self._keep()
            if not again:
                return None
            self._look()
        self._page("d", [])
        return None

    def _replaced(self) -> bool:
        """Whether the files that were seen to differ make room now that it was asked."""
        self.asker.edit(table()["replace"])
        self._keep()
        self._seen = self.wizard.tree().files  # with the line that says so
        return self.wizard.replaces()

    def _page(self, text: str, shown: list[Question]) -> bool:
        """What can be read or put back at the review; False where `text` is none of that."""
        tree, (letter, _space, rest) = self.wizard.tree(), text.partition(" ")
        if text == "y":
            self.prompts.tell(yaml_words(tree))
        elif text == "d":
            self._seen = tree.files
            found = difference_words(differences(self.wizard.folder(), tree.files))
            self.prompts.tell(found or _("No file is there that differs."))
        elif letter == DEFAULT and numbered(shown, rest):
            self.wizard.reset(shown[int(rest) - 1].id)
        elif letter == HELP:
            tell_help(self.asker, rest)
        else:
            return False
        return True

    def _agreed(self) -> bool:
        """Whether files that make room, if there are any, were seen to differ."""
        files = self.wizard.tree().files
        return files == self._seen or all(file.state != "in the way" for file in files)

    def _show_review(self) -> None:
        tell, tree = self.prompts.tell, self.wizard.tree()
        for number, answer in enumerate(self.wizard.review(), 1):
            tell(f"  {number}. {self.asker.summary(answer.question)}")
        found = need(self.wizard)
        if isinstance(found, Need):
            tell(say(found.verdict_line))
        if tree.files:
            tell(_("Files in {folder}:").format(folder=self.wizard.folder()))
        for file in tree.files:
            tell(f"  {file.path}: {translate(_STATES[state_of(self.wizard, file.state)])}")
        tell(_("The same without questions: {command}").format(command=self.wizard.command()))
        self.asker.tell_problems([*tree.notes, *self.wizard.problems("review")])
        tell(_("{what}.").format(what=say(start_line(self.wizard, ahead(self.wizard)))))

    def _start(self) -> Started | tuple[Problem, ...]:
        """Write the project and start its run; why that cannot be is told and returned."""
        self.prompts.tell(_("Writing the project and starting its run …"))
        self.starting = self.tried = True
        try:
            started = self.desk.start(self.wizard, self.asker.progress)
        except ProblemError as error:
            self.starting = False
            self._keep()
            self.asker.tell_problems(list(error.problems))
            return error.problems
        self.starting = False
        draft.drop()
        self.asker.tell_problems(list(started.notes))
        return started
