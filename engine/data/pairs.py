"""What a conversation is for a model that learns from it: pairs of token ids, read and written in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.data.conversation import Conversation
from engine.errors import Problem

Pair = tuple[list[int], list[int]]


@dataclass(frozen=True, slots=True)
class Segments:
    """The pairs (source ids, target ids) of one conversation, left to right.

    `unlabelled` answers became part of a source. `answers` are the places (from 0) of the pairs' answers among the
    conversation's; None: one pair an answer.
    """

    pairs: list[Pair]
    unlabelled: int = 0
    answers: list[int] | None = None


class Segmenter(Protocol):
    """Turns conversations into token ids. Turns alternate: even ones ask, odd ones answer."""

    def __call__(self, conversations: Sequence[Conversation]) -> list[Segments | Problem]:
        """One result a conversation, which ends with an answer; a Problem where the row cannot be rendered."""

    def prompts(self, conversations: Sequence[Conversation]) -> list[Segments | Problem]:
        """One pair a conversation: everything up to the last answer, and that answer; [] if it ends with a question."""
