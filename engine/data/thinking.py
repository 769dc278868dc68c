"""Reasoning templates: thoughts taken out of answers, an empty thought put where an answer has none."""

from __future__ import annotations

import re
from dataclasses import replace

from engine.data.conversation import Conversation, Turn
from engine.data.options import EncodeOptions
from engine.data.template_slots import Element, Template

Turns = list[list[Element]]


def for_training(
    template: Template, conversation: Conversation, options: EncodeOptions
) -> tuple[Conversation, set[int]]:
    """The conversation as it is trained on, and the turns that an empty thought belongs to (see `add_empty`).

    Every answer keeps its thought, unless enable_thinking is false; with mask_history only the last one does (all of
    them with preserve_thinking), and only the last one may get an empty thought.
    """
    if template.reasoning == "none":
        return conversation, set()
    turns = list(conversation.turns)
    history_only = options.mask_history and not options.preserve_thinking
    if options.enable_thinking is False:
        _strip(template, turns, len(turns))
    if history_only:
        _strip(template, turns, len(turns) - 2)
    answers = range(len(turns) - 1 if history_only else 1, len(turns), 2)
    empty = {_place(answer, options) for answer in answers if _lacks_thought(template, turns[answer])}
    return replace(conversation, turns=tuple(turns)), empty


def for_prompt(template: Template, conversation: Conversation, options: EncodeOptions) -> tuple[Conversation, set[int]]:
    """As `for_training`, where the last answer is to be written by the model: earlier thoughts are left out."""
    if template.reasoning == "none":
        return conversation, set()
    turns = list(conversation.turns)
    if not options.preserve_thinking:
        _strip(template, turns, len(turns) - 2)
    last = len(turns) - 1
    if options.enable_thinking is False:
        turns[last] = replace(turns[last], content=_without(template, turns[last].content))
    empty = {_place(last, options)} if _lacks_thought(template, turns[last]) else set()
    return replace(conversation, turns=tuple(turns)), empty


def add_empty(template: Template, turns: Turns, places: set[int]) -> Turns:
    """The elements with an empty thought in front of each answer, or behind each question, in `places`."""
    thought = template.empty_thought
    return [
        turn if number not in places else [thought, *turn] if number % 2 else [*turn, thought]
        for number, turn in enumerate(turns)
    ]


def _place(answer: int, options: EncodeOptions) -> int:
    """With enable_thinking the model learns to write the empty thought; otherwise it reads it."""
    return answer if options.enable_thinking else answer - 1


def _lacks_thought(template: Template, turn: Turn) -> bool:
    return not any(word.strip() in turn.content for word in template.thought_words)


def _strip(template: Template, turns: list[Turn], end: int) -> None:
    for number in range(1, end, 2):
        turns[number] = replace(turns[number], content=_without(template, turns[number].content))


def _without(template: Template, text: str) -> str:
    opening, closing = (re.escape(word) for word in template.thought_words)
    return re.sub(f"{opening}(.*?){closing}", "", text, flags=re.DOTALL).lstrip("\n")
