"""Tool descriptions and calls as a dataset writes them: JSON, read once for every dialect."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any


class ToolsUnreadable(ValueError):
    """Tools or a tool call that cannot be written into a prompt; the words say why."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool; `arguments` as JSON reads them, usually a dict."""

    name: str
    arguments: Any

    def items(self) -> list[tuple[str, Any]]:
        """The arguments by name. Raises ToolsUnreadable where they are no JSON object."""
        if not isinstance(self.arguments, dict):
            raise ToolsUnreadable(f"the arguments of {self.name} are not a JSON object")
        return list(self.arguments.items())


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON with its characters as they are."""
    return json.dumps(value, indent=indent, ensure_ascii=False)


def read_tools(text: str) -> list[dict[str, Any]]:
    """The tools of a row. Raises ToolsUnreadable."""
    tools = _read(text)
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise ToolsUnreadable("the tools are not a JSON list of objects")
    return tools


def read_calls(text: str, thought_words: tuple[str, str], call_words: tuple[str, str]) -> tuple[str, list[Call]]:
    """What stands beside the calls in a `function` turn (its reasoning, mostly), and the calls.

    A call may stand between `call_words`; otherwise all but a thought is JSON. Raises ToolsUnreadable.
    """
    wrapped = _between(call_words).search(text)
    if wrapped:
        beside, calls = text.replace(wrapped.group(0), ""), wrapped.group(1)
    else:
        thought = _between(thought_words).search(text)
        beside = thought.group(0) if thought else ""
        calls = text.replace(beside, "") if beside else text
    read = _read(calls)
    return beside, [_call(raw) for raw in (read if isinstance(read, list) else [read])]


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ToolsUnreadable(f"not JSON: {error}") from error


def _call(raw: Any) -> Call:
    if not isinstance(raw, dict) or not isinstance(raw.get("name"), str) or "arguments" not in raw:
        raise ToolsUnreadable('a call is not an object with a "name" and "arguments"')
    return Call(raw["name"], raw["arguments"])


def _between(words: tuple[str, str]) -> re.Pattern[str]:
    return re.compile(f"{re.escape(words[0])}(.*?){re.escape(words[1])}", re.DOTALL)
