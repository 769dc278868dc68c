"""Conversations to (source, target) pairs of token ids: what the model reads, and what it learns to write."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.data.conversation import Conversation
from engine.data.options import EncodeOptions
from engine.data.templates import Template, encode_turns, encode_with_starts, shipped
from engine.errors import ConfigError, DataError, Problem

Pair = tuple[list[int], list[int]]


@dataclass(frozen=True, slots=True)
class Segments:
    """The pairs of one conversation, left to right; `unlabelled` answers became part of a source.

    `answers` are the places (from 0) of the pairs' answers among the conversation's; None: one pair an answer.
    """

    pairs: list[Pair]
    unlabelled: int = 0
    answers: list[int] | None = None


class Segmenter(Protocol):
    """Turns conversations (user and assistant turns only, an even number of them) into segments."""

    def __call__(self, conversations: Sequence[Conversation]) -> list[Segments | Problem]:
        """One result a conversation; a Problem where the row cannot be rendered."""


class NamedSegmenter:
    """One pair an exchange, each element of a slot tokenised on its own as LLaMA-Factory does."""

    def __init__(self, tokenizer: Any, template: Template, options: EncodeOptions):
        self._tokenizer = tokenizer
        self._template = template
        self._options = options

    def __call__(self, conversations: Sequence[Conversation]) -> list[Segments | Problem]:
        turns = [turn for conversation in conversations for turn in self._template.turns(conversation)]
        ids = iter(encode_turns(self._tokenizer, turns))
        return [Segments([(next(ids), next(ids)) for _ in conversation.turns[::2]]) for conversation in conversations]


class AutoSegmenter:
    """The tokenizer's own chat template: rendered and tokenised whole, answers found by rendering up to each one."""

    def __init__(self, tokenizer: Any):
        """Raises ConfigError no_chat_template, tokenizer_not_fast (offsets need a fast tokenizer)."""
        require_chat_template(tokenizer)
        if not tokenizer.is_fast:
            raise ConfigError(Problem("tokenizer_not_fast", {"shipped": list(shipped())}, key="template"))
        self._tokenizer = tokenizer

    def __call__(self, conversations: Sequence[Conversation]) -> list[Segments | Problem]:
        rendered = [self._render(conversation) for conversation in conversations]
        texts = [one[0] for one in rendered if not isinstance(one, Problem)]
        encoded = encode_with_starts(self._tokenizer, texts)
        results: list[Segments | Problem] = []
        for conversation, one in zip(conversations, rendered, strict=True):
            if isinstance(one, Problem):
                results.append(one)
                continue
            spans = one[1]
            pairs = _split(*next(encoded), list(spans.values()))
            results.append(Segments(pairs, len(conversation.turns) // 2 - len(spans), list(spans)))
        return results

    def _render(self, conversation: Conversation) -> tuple[str, dict[int, tuple[int, int]]] | Problem:
        """The text and the character spans of the answers (by place) that stand in it as they are rendered last."""
        messages = chat_messages(conversation)
        first = len(messages) - len(conversation.turns)
        try:
            whole = render_chat(self._tokenizer, messages)
            spans = {}
            for answer in range(first + 1, len(messages), 2):
                # Templates may rewrite earlier answers (drop their reasoning): such a one has no place to be found at.
                asked = render_chat(self._tokenizer, messages[:answer], ask=True)
                last = answer + 1 == len(messages)
                answered = whole if last else render_chat(self._tokenizer, messages[: answer + 1])
                if whole.startswith(answered) and answered.startswith(asked):
                    spans[(answer - first) // 2] = (len(asked), len(answered))
        except DataError as error:
            return Problem("chat_template_refused", error.problems[0].params)
        return whole, spans


def require_chat_template(tokenizer: Any) -> None:
    """Raise ConfigError no_chat_template where the tokenizer carries none."""
    if not tokenizer.chat_template:
        raise ConfigError(Problem("no_chat_template", {"shipped": list(shipped())}, key="template"))


def render_chat(tokenizer: Any, messages: list[dict[str, str]], *, ask: bool = False) -> str:
    """The text that the tokenizer's chat template makes of `messages`; `ask` adds the header of the next answer.

    Runs in transformers' sandboxed renderer. Raises DataError chat_template_refuses_prompt with the template's words.
    """
    from jinja2 import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)
    except (TemplateError, TypeError, ValueError) as error:
        raise DataError(Problem("chat_template_refuses_prompt", {"reason": str(error)[:200]})) from error
    return text


def chat_messages(conversation: Conversation) -> list[dict[str, str]]:
    """The conversation as role and content, the form that chat templates take; system only where it has one."""
    system = [{"role": "system", "content": conversation.system}] if conversation.system else []
    return system + [{"role": turn.role, "content": turn.content} for turn in conversation.turns]


def _split(ids: list[int], starts: list[int], spans: list[tuple[int, int]]) -> list[Pair]:
    """Cut at the first token that starts at or after each answer's start and end; what follows the last is a source."""
    pairs: list[Pair] = []
    done = 0
    for start, end in spans:
        first = bisect_left(starts, start, done)
        last = bisect_left(starts, end, first)
        pairs.append((ids[done:first], ids[first:last]))
        done = last
    if done < len(ids):
        pairs.append((ids[done:], []))
    return pairs
