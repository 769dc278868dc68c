"""Which columns of a foreign table make up a conversation: recognised by their names, or as the user maps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, DataError, Problem

if TYPE_CHECKING:
    from engine.data.readers import Row

TARGETS = ("prompt", "query", "response", "system", "history", "messages")

# What it is called, the columns that must be there, and those that are used where they are; first match wins.
_SHAPES: tuple[tuple[str, dict[str, str], dict[str, str]], ...] = (
    ("conversations", {"messages": "conversations"}, {}),
    ("messages", {"messages": "messages"}, {}),
    ("conversation", {"messages": "conversation"}, {}),
    (
        "instruction/input/output",
        {"prompt": "instruction", "response": "output"},
        {"query": "input", "history": "history"},
    ),
    ("instruction/context/response", {"prompt": "instruction", "response": "response"}, {"query": "context"}),
    ("prompt/completion", {"prompt": "prompt", "response": "completion"}, {}),
    ("prompt/response", {"prompt": "prompt", "response": "response"}, {"history": "history"}),
    ("question/answer", {"prompt": "question", "response": "answer"}, {"query": "context"}),
    ("query/response", {"prompt": "query", "response": "response"}, {}),
    ("input/output", {"prompt": "input", "response": "output"}, {}),
)
_SYSTEM_NAMES = ("system", "system_prompt")


def recognise(columns: Sequence[str], rows: Sequence[Row]) -> tuple[str, dict[str, str]] | None:
    """The name of a common shape and its mapping (target → column), or None. Case does not matter."""
    exact = {name.lower(): name for name in reversed(columns)}
    for shape, needed, optional in _SHAPES:
        if not all(name in exact for name in needed.values()):
            continue
        if "messages" in needed and message_members(rows, exact[needed["messages"]]) is None:
            continue
        mapping = {target: exact[name] for target, name in {**needed, **optional}.items() if name in exact}
        system = next((exact[name] for name in _SYSTEM_NAMES if name in exact), None)
        return shape, mapping | ({"system": system} if system is not None else {})
    return None


def message_members(rows: Sequence[Row], column: str) -> tuple[str, str] | None:
    """How the first message found names its role and its content; None where there is no such list."""
    from engine.data.chats import MEMBERS

    for row in rows:
        messages = row.values.get(column)
        if isinstance(messages, list) and messages:
            first = messages[0]
            return next((pair for pair in MEMBERS if isinstance(first, dict) and pair[0] in first), None)
    return None


def check_mapping(mapping: dict[str, str], columns: Sequence[str], instruction: str | None, file: str) -> None:
    """Raises ConfigError where a field or column does not exist, or the fields do not make up a conversation."""
    from engine.data.entries import nearest, with_near

    problems = []
    for target, column in mapping.items():
        if target not in TARGETS:
            similar = nearest(target, list(TARGETS))
            params: dict[str, Any] = {"nearest": similar, "targets": list(TARGETS)}
            problems.append(Problem(with_near("convert_target_unknown", similar), params, target, file))
        elif column not in columns:
            similar = nearest(column, list(columns))
            params = {"column": column, "nearest": similar, "columns": list(columns)}
            problems.append(Problem(with_near("convert_column_unknown", similar), params, target, file))
    if not problems:
        fields: list[str] = [target for target in ("prompt", "query", "response", "history") if target in mapping]
        fields += ["instruction"] if instruction else []
        if "messages" in mapping:
            if fields:
                problems.append(Problem("convert_mapping_conflict", {"fields": fields}, "messages", file))
        else:
            absent = [] if "response" in mapping else ["response"]
            if not instruction and "prompt" not in mapping and "query" not in mapping:
                absent.insert(0, "prompt")
            if absent:
                params = {"missing": absent, "columns": list(columns)}
                problems.append(Problem("convert_mapping_incomplete", params, None, file))
    if problems:
        raise ConfigError(*problems)


def required_members(rows: Sequence[Row], column: str, file: str) -> tuple[str, str]:
    """`message_members`, or DataError that shows what the first message holds instead."""
    members = message_members(rows, column)
    if members is None:
        value = next((row.values[column] for row in rows if row.values.get(column)), None)
        first = value[0] if isinstance(value, list) and value else value
        shown = list(first) if isinstance(first, dict) else [type(first).__name__]
        raise DataError(Problem("convert_messages_members", {"column": column, "members": shown}, column, file))
    return members
