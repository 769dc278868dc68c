"""A talk as a file that a person can read."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.chat.options import ChatOptions
from engine.storage import write_whole
from engine.text import clean

TITLES = {"tuned": "Tuned", "base": "Base", "model": "Model"}  # of the voices; files are English


@dataclass
class Exchange:
    """A question and what each voice has answered so far."""

    question: str
    answers: dict[str, str] = field(default_factory=dict)


def transcript(name: str, options: ChatOptions, talk: Iterable[Exchange]) -> str:
    """Markdown; nothing in the answers can end a block early, and control characters are shown as escapes."""
    lines = [f"# A talk with {clean(name)}", "", *_settings(options)]
    for number, exchange in enumerate(talk, 1):
        lines += ["", f"## {number}. Question", "", _quoted(exchange.question)]
        for voice, text in exchange.answers.items():
            lines += ["", f"### {TITLES.get(voice, voice)}", "", _quoted(text)]
    return "\n".join(lines) + "\n"


def save(folder: Path, text: str, now: float) -> Path:
    """Write it as chat-<utc>.md into `folder`, beside earlier ones; returns the file."""
    stamp = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y%m%dT%H%M%S")
    file = folder / f"chat-{stamp}.md"
    number = 1
    while file.exists():
        number += 1
        file = folder / f"chat-{stamp}-{number}.md"
    write_whole(file, text)
    return file


def _settings(options: ChatOptions) -> list[str]:
    said: Mapping[str, object] = {
        "temperature": f"{options.temperature:g}",
        "longest answer": f"{options.longest} tokens",
        "system prompt": clean(options.system) or "none",
    }
    return [f"- {name}: {value}" for name, value in said.items()]


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in clean(text).split("\n"))
