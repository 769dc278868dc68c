"""How a talk is led: what can be set while it goes on, as one table for every front end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.errors import ConfigError, Problem
from engine.text import Phrase, verbatim


class ChatOptions(msgspec.Struct, frozen=True):
    """temperature 0 always takes the likeliest token. longest: of an answer, in tokens. system: a prompt, or empty.

    processor: answers come from it although there is a GPU.
    """

    temperature: float = 0.0
    longest: int = 512
    system: str = ""
    processor: bool = False

    @classmethod
    def of(cls, sampling: Mapping[str, Any]) -> ChatOptions:
        """As a file says how answers are drawn; what it leaves open is the default."""
        named = {"temperature": sampling.get("temperature"), "longest": sampling.get("max_new_tokens")}
        return cls(**{name: value for name, value in named.items() if value is not None})

    @property
    def sampling(self) -> dict[str, Any]:
        """As the worker takes them."""
        return {"temperature": self.temperature, "max_new_tokens": self.longest}


@dataclass(frozen=True)
class Option:
    """One of them: its name in ChatOptions and at a prompt, and what it does. numbers: the least and the most."""

    name: str
    label: Phrase
    why: Phrase
    numbers: tuple[float, float] | None = None


OPTIONS = (
    Option(
        "temperature",
        Phrase("Temperature"),
        Phrase("0 gives the likeliest answer, the same each time; 0.7 to 1 gives another each time."),
        (0, 5),
    ),
    Option("longest", Phrase("Longest answer"), Phrase("Tokens, which are pieces of words."), (1, 1_000_000)),
    Option(
        "system",
        Phrase("System prompt"),
        Phrase("What the model is told before your first question; empty: what its template says."),
    ),
)


def change(options: ChatOptions, name: str, given: str) -> ChatOptions:
    """With one of them as it was typed. Raises ConfigError, and nothing changes, where it cannot be that."""
    option = next((option for option in OPTIONS if option.name == name), None)
    if option is None:
        raise ConfigError(Problem("chat_option_unknown", {"name": name, "known": [option.name for option in OPTIONS]}))
    text = given.strip()
    if option.numbers is None:
        return msgspec.structs.replace(options, **{name: text})
    least, most = option.numbers
    try:
        number = int(text) if name == "longest" else float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        shown = {"given": text or '""', "least": f"{least:g}", "most": f"{most:.0f}"}
        raise ConfigError(Problem("chat_option_number", shown))
    return msgspec.structs.replace(options, **{name: number})


def shown(options: ChatOptions, name: str) -> Phrase:
    """The value in words."""
    value = getattr(options, name)
    if name == "longest":
        return Phrase("{count} tokens", {"count": value})
    return verbatim(f"{value:g}" if isinstance(value, float) else value) if value != "" else Phrase("(none)")
