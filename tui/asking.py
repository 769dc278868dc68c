"""The wizard's questions at plain prompts: one question, one step, and a list of settings of which some are changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.errors import Problem
from engine.text import Phrase, clean
from engine.wizard.ahead import ahead, ahead_lines
from engine.wizard.asks.model import confirm
from engine.wizard.desk import Desk, Finder, Progress, settle
from engine.wizard.facts import preview_line
from engine.wizard.questions import Choice, Question, Request
from engine.wizard.session import Wizard
from engine.wizard.steps import Step
from tui.changing import change_some, tell_help
from tui.fetching import offer_download
from tui.fitting import need_words, offer_fit
from tui.helptext import topic_text
from tui.prompts import Prompts
from tui.showing import show_rows
from tui.words import _, noop, problem_line, problem_text, say, translate

BACK, HELP, NOTHING = "<", "?", "-"
PREVIEW_LENGTH = 300
FITTED = ("preset", "settings")  # steps that show what the job needs

_LOOKING = {
    "hardware": noop("Looking at the machine …"),
    "checks": noop("Checking drivers, packages and disks …"),
    "models": noop("Looking for models on this machine …"),
    "model": noop("Looking at the model …"),
    "hub": noop("Asking the hub …"),
    "datasets": noop("Looking for data here …"),
    "data": noop("Reading the data …"),
}


@dataclass
class Narrated:
    """Says what is looked into, since a person waits for it."""

    desk: Finder
    prompts: Prompts

    def find(self, request: Request, progress: Progress) -> Any:
        """Say it, then find it."""
        self.prompts.tell(translate(_LOOKING[request.what]))
        return self.desk.find(request, progress)


@dataclass
class Asker:
    """Asks one wizard's questions. Methods that ask return False where the person typed `<`."""

    wizard: Wizard
    desk: Desk
    prompts: Prompts
    _declined: set[str] = field(default_factory=set)
    _facts: tuple[str, ...] = ()
    _doing: str = ""

    def look(self, step: str, *, quiet: bool = False) -> None:
        """Find out what the step needs, and show it where it is news."""
        settle(self.wizard, step, Narrated(self.desk, self.prompts), self.progress)
        lines = [say(phrase) for phrase in self.wizard.about(step)]
        if step == "data":
            for voice, text in self.wizard.preview():
                said = _("{label}: {value}").format(label=say(preview_line(voice)), value=clean(text, PREVIEW_LENGTH))
                lines.append(f"  {said}")
        if step in FITTED:
            lines += need_words(self.wizard)[: 1 if step == "settings" else None]
        if step == "settings":
            lines += [say(phrase) for phrase in ahead_lines(ahead(self.wizard))]
        if not quiet and tuple(lines) != self._facts:
            for line in lines:
                self.prompts.tell(line)
        self._facts = tuple(lines)

    def step(self, step: Step, *, from_behind: bool = False) -> bool:
        """All questions of a step until nothing keeps it from being left; from_behind: beginning with the last."""
        self.prompts.tell()
        self.prompts.tell(say(step.title).upper())
        self.prompts.tell(say(step.intro))
        self._facts = ()
        self.look(step.id)
        self.tell_problems(self.wizard.notes(step.id))
        if step.id == "data":
            self.prompts.tell(_("v checks every row and shows what the model will see of it."))
        while True:
            if not self._questions(step, from_behind):
                return False
            problems = self.wizard.problems(step.id)
            if not problems and self._offer(step):
                return True
            self.tell_problems(problems)
            self.wizard.forget_refusals()
            from_behind = False

    def _offer(self, step: Step) -> bool:
        """What a step offers once it is answered. False where the person typed `<`."""
        if step.id == "model":
            taken = offer_download(self.wizard, self.desk, self.prompts, self._declined)
            self.look(step.id)
            return taken
        return step.id not in FITTED or offer_fit(self.wizard, self.prompts)

    def question(self, question: Question, *, listed: bool = True) -> bool:
        """One question, until it has an answer that can be taken. Enter leaves it as it is."""
        choices = question.choices(self.wizard)
        if choices and listed:
            self._list(question, choices)
        while True:
            text = self._typed(question, choices).strip()
            if text == BACK:
                return False
            if question.id == "data" and show_rows(self, text):
                continue
            if text.startswith(f"{HELP} "):
                tell_help(self, text.removeprefix(HELP).strip())
                continue
            if text == HELP:
                self._explain(question)
                if choices:
                    self._list(question, choices)
                continue
            problems = self._take(question, choices, text)
            if not problems:
                return True
            self.tell_problems(problems)

    def _typed(self, question: Question, choices: tuple[Choice, ...]) -> str:
        """A line; of a path, Tab completes it."""
        line = self._line(question, choices)
        return self.prompts.ask_path(line, question.wanted) if question.wanted else self.prompts.ask(line)

    def edit(self, question: Question) -> None:
        """Change one answer out of its turn; what that brings up is asked as well."""
        self.look(question.step, quiet=True)
        known = {other.id for other in self.wizard.questions(question.step)}
        self.prompts.tell(say(question.help))
        asked: Question | None = question
        while asked is not None and self.question(asked):
            known.add(asked.id)
            if question.step == "model":
                confirm(self.wizard)
            self.look(question.step)
            asked = next((new for new in self.wizard.questions(question.step) if new.id not in known), None)

    def changes(self, step: Step, shown: list[Question], *, asks: str) -> bool:
        """A numbered list from which any are changed, until Enter. `a` adds the questions that are asked rarely."""
        return change_some(self, step, shown, asks)

    def summary(self, question: Question, *, glossed: bool = False) -> str:
        """A question with its value, and what there is to know of it. glossed: its name in other words too."""
        label, gloss = say(question.label), say(question.gloss)
        if glossed and gloss:
            label = _("{name} — {gloss}").format(name=label, gloss=gloss)
        line = _("{label}: {value}").format(label=label, value=say(self.wizard.shown(question.id)))
        if self.wizard.changed(question.id):
            return _("{line} (changed)").format(line=line)
        reason = say(self.wizard.default(question.id).reason)
        return _("{line} ({note})").format(line=line, note=reason) if reason else line

    def progress(self, what: Phrase, done: int, total: int) -> None:
        """What takes its time, a line each, without the figures."""
        line = say(what)
        if line != self._doing:
            self._doing = line
            self.prompts.tell(line)

    def tell_problems(self, problems: list[Problem]) -> None:
        """In words, with what to do."""
        for problem in problems:
            self.prompts.tell(problem_line(problem))

    def _questions(self, step: Step, from_behind: bool) -> bool:
        """The step's questions in order; which apply is looked up anew after each."""
        if step.id == "settings":
            asks = _("Enter goes on, a number changes one, a lists the rare ones:")
            return self.changes(step, self.wizard.questions(step.id), asks=asks)
        asked = [question.id for question in self.wizard.questions(step.id)][:-1] if from_behind else []
        while True:
            questions = self.wizard.questions(step.id)
            following = next((question for question in questions if question.id not in asked), None)
            if following is None:
                if self._rare(step):
                    return True
            elif self.question(following):
                asked.append(following.id)
                if step.id == "model":
                    confirm(self.wizard)
                self.look(step.id)
                self._tell_new(step, questions)
                continue
            if not asked:
                return False
            asked.pop()

    def _rare(self, step: Step) -> bool:
        """The questions that are asked rarely, where there are any and nothing is wrong with the step."""
        plain = self.wizard.questions(step.id)
        if self.wizard.questions(step.id, advanced=True) == plain or self.wizard.problems(step.id):
            return True
        return self.changes(step, [], asks=_("Enter goes on, a lists what is rarely changed:"))

    def _tell_new(self, step: Step, before: list[Question]) -> None:
        """What an answer brought up that further questions settle, such as columns whose names say nothing."""
        names = [question.id for question in before]
        if any(question.id not in names for question in self.wizard.questions(step.id)):
            for found in self.wizard.problems(step.id):
                if found.code != "answer_empty":
                    self.prompts.tell(problem_text(found))

    def _take(self, question: Question, choices: tuple[Choice, ...], text: str) -> list[Problem]:
        """The problems of what was typed; none where it is the answer now."""
        wizard = self.wizard
        if text == "":
            value = wizard.value(question.id)
            if choices and value not in [choice.value for choice in choices]:
                return [Problem("answer_not_offered", {"given": value})]
            return [] if question.optional and value is None else question.check(wizard, value)
        if choices and text.isdecimal() and 0 < int(text) <= len(choices):
            return wizard.answer(question.id, choices[int(text) - 1].value)
        return wizard.answer(question.id, None if question.optional and text == NOTHING else text)

    def _line(self, question: Question, choices: tuple[Choice, ...]) -> str:
        value = self.wizard.value(question.id)
        if choices:
            places = [str(place) for place, choice in enumerate(choices, 1) if choice.value == value]
            now = places[0] if places else ""
        else:
            now = "" if value in (None, "") else say(self.wizard.shown(question.id))
        label = say(question.label)
        if not now:
            return _("{label}:").format(label=label)
        if choices:
            return _("{label}, number [{now}]:").format(label=label, now=now)
        if question.optional:
            return _("{label}, - for none [{now}]:").format(label=label, now=now)
        return _("{label} [{now}]:").format(label=label, now=now)

    def _list(self, question: Question, choices: tuple[Choice, ...]) -> None:
        self.prompts.tell(_("{label}:").format(label=say(question.label)))
        for number, choice in enumerate(choices, 1):
            line = f"  {number}. {say(choice.label)}"
            note = say(choice.note)
            if choice.recommended:
                reason = say(self.wizard.default(question.id).reason)
                marked = _("recommended: {reason}").format(reason=reason) if reason else _("recommended")
                note = _("{note}; {more}").format(note=note, more=marked) if note else marked
            self.prompts.tell(_("{line}: {note}").format(line=line, note=note) if note else line)

    def _explain(self, question: Question) -> None:
        self.prompts.tell(topic_text(self.wizard, question.id))
