"""English words for every problem code; the source that translations start from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from engine.errors import Problem
from engine.text import Phrase, Translate, clean


@dataclass(frozen=True)
class Message:
    """`text` says what is wrong, `hint` what to do next; both are str.format templates over the problem's params."""

    text: str
    hint: str = ""


def catalogue() -> dict[str, Message]:
    """Every code of every room. Built on demand: most runs show no problem at all."""
    from engine.chat import messages as chat
    from engine.config import messages as config
    from engine.data import messages as data
    from engine.memory import messages as memory
    from engine.merge import messages as merge
    from engine.runs import messages as runs
    from engine.train import messages as train
    from engine.wizard import messages as wizard

    rooms = (chat, config, data, memory, merge, runs, train, wizard)
    return {code: found for room in rooms for code, found in room.MESSAGES.items()}


def fill(template: str, problem: Problem, translate: Translate = str) -> str:
    """`template` with the problem's parameters; a parameter that is missing shows as its name."""
    values = _Parameters({name: _shown(value, translate) for name, value in problem.params.items()})
    values.setdefault("key", problem.key or "")
    values.setdefault("file", problem.file or "")
    return clean(template.format_map(values))


def render(problem: Problem, translate: Translate = str) -> str:
    """`place: what is wrong` and, indented on the next line, what to do about it."""
    source = catalogue().get(problem.code, Message("{code} {params}"))
    message = Message(translate(source.text), translate(source.hint) if source.hint else "")
    problem = replace(problem, params={"code": problem.code, "params": problem.params or "", **problem.params})
    head = fill(_capital(message.text), problem, translate).strip()
    text = f"{clean(problem.place)}: {head}" if problem.place else head
    hint = fill(_capital(message.hint), problem, translate).strip()
    return f"{text}\n  {hint}" if hint else text


def _capital(template: str) -> str:
    """A sentence begins with a capital, but not where it begins with the name of a key."""
    first = template.partition(" ")[0]
    return template[:1].upper() + template[1:] if first.strip(".,:").isalpha() else template


class _Parameters(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "{" + name + "}"


def _shown(value: Any, translate: Translate) -> Any:
    if isinstance(value, list | tuple):
        return ", ".join(str(_shown(item, translate)) for item in value)
    if isinstance(value, Phrase):
        try:
            return value.say(translate)
        except LookupError:  # an event that lacks a value
            return value.text
    return value
