"""Conversations through a named template, thoughts included: as they are trained on, and as a prompt is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from engine.data import thinking
from engine.data.conversation import Conversation, Turn
from engine.data.options import EncodeOptions
from engine.data.template_slots import Element, Special, Template
from engine.data.token_ids import element_text


def training_turns(
    template: Template, conversation: Conversation, options: EncodeOptions, today: date | None = None
) -> list[list[Element]]:
    """The elements of each turn of a conversation that is trained on. Raises ToolsUnreadable."""
    talk, empty = thinking.for_training(template, conversation, options)
    return thinking.add_empty(template, template.turns(talk, today=today, strict=options.strict), empty)


def prompt_turns(
    template: Template, conversation: Conversation, options: EncodeOptions, today: date | None = None
) -> list[list[Element]]:
    """The elements of each turn where the model writes the last answer, if there is one. Raises ToolsUnreadable."""
    asks = len(conversation.turns) % 2 == 1
    if asks:
        conversation = replace(conversation, turns=(*conversation.turns, Turn("assistant", "")))
    talk, empty = thinking.for_prompt(template, conversation, options)
    turns = thinking.add_empty(template, template.turns(talk, today=today, strict=options.strict), empty)
    return turns[:-1] if asks else turns


def render_text(
    tokenizer: Any, template: Template, conversation: Conversation, options: EncodeOptions | None = None
) -> str:
    """The conversation as one string; after a question it ends with the header of the answer.

    Rendered as the prompt of the last answer and that answer: see `prompt_turns`. Raises ToolsUnreadable.
    """
    turns = prompt_turns(template, conversation, options or EncodeOptions(cutoff_len=0))
    text = "".join(element_text(tokenizer, element) for turn in turns for element in turn)
    answered = len(conversation.turns) % 2 == 0
    return text + (element_text(tokenizer, Special.EOS) if template.efficient_eos and answered else "")
