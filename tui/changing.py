"""A numbered list of settings at plain prompts, from which any are changed, put back, looked for and explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.wizard.questions import Question, mentions
from engine.wizard.steps import Step
from tui.helptext import found_text, topic_text
from tui.showing import show_rows
from tui.words import _, say, translate

if TYPE_CHECKING:
    from tui.asking import Asker

BACK, HELP, ALL, DEFAULT, FIND = "<", "?", "a", "x", "/"


def change_some(asker: Asker, step: Step, shown: list[Question], asks: str) -> bool:
    """Ask until Enter; False where the person typed `<`. `a` adds the questions that are asked rarely."""
    everything, words = False, ""
    while True:
        _list(asker, shown)
        text = asker.prompts.ask(asks).strip()
        if text == "":
            return True
        if text == BACK:
            return False
        command, _space, rest = text.partition(" ")
        if text == ALL:
            everything, words = True, ""
        elif step.id == "data" and show_rows(asker, text):
            continue
        elif text.startswith(FIND):
            words = text.removeprefix(FIND).strip()
        elif numbered(shown, text):
            asker.edit(shown[int(text) - 1])
        elif command == DEFAULT and numbered(shown, rest):
            asker.wizard.reset(shown[int(rest) - 1].id)
        elif command == HELP and numbered(shown, rest):
            asker.prompts.tell(topic_text(asker.wizard, shown[int(rest) - 1].id))
        elif command == HELP:
            tell_help(asker, rest)
        else:
            asker.tell_problems([Problem("answer_not_offered", {"given": text})])
        if shown or everything or words:
            shown = asker.wizard.questions(step.id, advanced=everything or bool(words))
        shown = [question for question in shown if mentions(question, words, translate)]


def tell_help(asker: Asker, words: str) -> None:
    """What a word means, or without one what can be typed at a list."""
    if words:
        asker.prompts.tell(found_text(words) or _("Nothing mentions {words}.").format(words=words))
        return
    asker.prompts.tell(_("A number changes that one, a lists the rare ones too, < goes back."))
    asker.prompts.tell(
        _("x NUMBER takes the default again, ? NUMBER explains it, / WORD finds, ? WORD explains a word.")
    )


def numbered(shown: list[Question], text: str) -> bool:
    """Whether this is the number of a row."""
    return text.isdecimal() and 0 < int(text) <= len(shown)


def _list(asker: Asker, shown: list[Question]) -> None:
    heading = ""
    for number, question in enumerate(shown, 1):
        group = say(question.group) if question.advanced(asker.wizard) else ""
        if group != heading and group:
            asker.prompts.tell(_("{label}:").format(label=group))
        heading = group
        asker.prompts.tell(f"  {number}. {asker.summary(question, glossed=True)}")
