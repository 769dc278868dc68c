"""Conversations to token ids with a named template, each element of a slot tokenised on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from engine.data.conversation import Conversation
from engine.data.options import EncodeOptions
from engine.data.pairs import Segments
from engine.data.rendering import prompt_turns, training_turns
from engine.data.template_slots import Element, Template, ToolsUnreadable
from engine.data.token_ids import encode_turns
from engine.errors import Problem

_Render = Callable[[Template, Conversation, EncodeOptions, date], list[list[Element]]]


class NamedSegmenter:
    """One pair an exchange; token for token what LLaMA-Factory 0.9.5 makes of it."""

    def __init__(self, tokenizer: Any, template: Template, options: EncodeOptions, *, today: date | None = None):
        """`today` is the date that some tool descriptions name (see `Template.dated`)."""
        self._tokenizer = tokenizer
        self._template = template
        self._options = options
        self._today = today or date.today()

    def __call__(self, conversations: Sequence[Conversation]) -> list[Segments | Problem]:
        """See `Segmenter`. Problem tools_unreadable."""
        results: list[Segments | Problem] = []
        for ids in self._encode(training_turns, conversations):
            if isinstance(ids, Problem):
                results.append(ids)
                continue
            results.append(Segments(list(zip(ids[::2], ids[1::2], strict=True))))
        return results

    def prompts(self, conversations: Sequence[Conversation]) -> list[Segments | Problem]:
        """See `Segmenter`. Problem tools_unreadable. An answer has no end mark where the template has efficient_eos."""
        results: list[Segments | Problem] = []
        for talk, ids in zip(conversations, self._encode(prompt_turns, conversations), strict=True):
            if isinstance(ids, Problem):
                results.append(ids)
                continue
            answered = len(talk.turns) % 2 == 0
            asked = ids[:-1] if answered else ids
            pair = ([token for turn in asked for token in turn], ids[-1] if answered else [])
            results.append(Segments([pair]))
        return results

    def _encode(self, render: _Render, conversations: Sequence[Conversation]) -> list[list[list[int]] | Problem]:
        """Token ids of each turn of each conversation, with one call of the tokenizer."""
        rendered: list[list[list[Element]] | Problem] = []
        for talk in conversations:
            try:
                rendered.append(render(self._template, talk, self._options, self._today))
            except ToolsUnreadable as error:
                rendered.append(Problem("tools_unreadable", {"reason": str(error)}))
        turns = [turn for one in rendered if not isinstance(one, Problem) for turn in one]
        ids = iter(encode_turns(self._tokenizer, turns, split_special=self._options.split_special_tokens))
        return [one if isinstance(one, Problem) else [next(ids) for _ in one] for one in rendered]
