"""The one form every data format is brought into before a template renders it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["user", "assistant", "observation", "function"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `function` is an assistant's tool call, `observation` the tool's answer.

    `learn` is what the row's own `weight` or `loss` flag says of an answer: True, False, or None where it says nothing.
    `results` are the single answers of several tools where `content` joins them, else empty.
    """

    role: Role
    content: str
    learn: bool | None = None
    results: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns that alternate: even positions ask (user, observation), odd ones answer (assistant, function).

    `system` and `tools` are empty where the row has none; the template's default system then applies.
    """

    turns: tuple[Turn, ...]
    system: str = ""
    tools: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row came from: its file, the line it starts on (from 1; 0 where the format has none), its index."""

    file: str
    line: int
    row: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A conversation and the row it was made from."""

    conversation: Conversation
    origin: Origin
