"""Lists of messages into turns, for sharegpt and openai rows: roles, content, flags, tool calls."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from engine.data.calls import calls_text, parts_text
from engine.data.conversation import Role, Turn
from engine.data.dropped import DroppedRowError
from engine.data.entries import Tags
from engine.data.readers.jsonrows import type_name
from engine.text import Phrase, clean

Roles = Mapping[str, Role | Literal["system"]]

MEMBERS = (("from", "value"), ("role", "content"))
LIST = Phrase("a list")
FLAG = 40  # characters of a wrong flag that are shown

_ASKS: tuple[Role, Role] = ("user", "observation")
_ANSWERS: tuple[Role, Role] = ("assistant", "function")
_QWEN_JOIN = "\n</tool_response>\n<tool_response>\n"  # LLaMA-Factory's, whatever the template
_CALLS = ("tool_calls", "function_call")


@dataclass(frozen=True, slots=True)
class ChatStyle:
    """How messages are read. `members` name the role and the content; None: from/value or role/content, as they come.

    `openai`: tool calls, content parts and consecutive tool messages are understood. `strict` is LLaMA-Factory 0.9.5 to
    the letter. `unused` counts what a message says that has no effect.
    """

    members: tuple[str, str] | None
    roles: Roles
    openai: bool = False
    strict: bool = False
    unused: Counter[str] = field(default_factory=Counter)


class _Said(NamedTuple):
    number: int
    name: str
    role: Role | Literal["system"] | None
    content: str
    learn: bool | None = None
    results: tuple[str, ...] = ()


def message_turns(messages: object, column: str, style: ChatStyle) -> tuple[str | None, tuple[Turn, ...]]:
    """The system prompt (None where the first message is not one) and the turns of a list of messages.

    Asking and answering messages must alternate, beginning with an asking and ending with an answering one. Raises
    DroppedRowError.
    """
    if messages is None or messages == []:
        raise DroppedRowError("data_row_no_messages", column)
    if not isinstance(messages, list):
        raise DroppedRowError("data_row_type", column, column=column, expected=LIST, found=type_name(messages))
    said = [_message(message, number, column, style) for number, message in enumerate(messages, 1)]
    system = None
    if said[0].role == "system":
        system = said[0].content
        del said[0]
    if style.openai:
        said = _merged(said, style.strict)
    turns = []
    for place, (number, name, role, content, learn, results) in enumerate(said):
        if role is None or role == "system":
            if number == 1 and name == Tags().system_tag:
                raise DroppedRowError("data_row_system_tag_missing", column)
            code = "data_row_role_unknown" if role is None else "data_row_system_late"
            raise DroppedRowError(code, column, message=number, role=name, roles=list(style.roles))
        if role not in (_ANSWERS if place % 2 else _ASKS):
            raise DroppedRowError("data_row_role_order", column, message=number, role=name)
        turns.append(Turn(role, content, learn, results))
    if not turns:
        raise DroppedRowError("data_row_no_messages", column)
    if len(turns) % 2:
        raise DroppedRowError("data_row_no_answer", column, messages=len(turns))
    return system, tuple(turns)


def _message(message: object, number: int, column: str, style: ChatStyle) -> _Said:
    if not isinstance(message, dict):
        raise DroppedRowError("data_row_message", column, message=number, found=type_name(message))
    members = style.members or next((pair for pair in MEMBERS if pair[0] in message), MEMBERS[1])
    name = _text(message, members[0], number, column)
    role = style.roles.get(name)
    learn = _learn(message, number, column) if "weight" in message or "loss" in message else None
    if learn is not None and role not in _ANSWERS:
        if learn:
            style.unused["data_flag_on_question"] += 1
        learn = None
    calls = next((found for key in _CALLS if (found := message.get(key))), None) if role in _ANSWERS else None
    if calls is not None:
        if not style.openai:
            raise DroppedRowError("data_row_tool_calls", column, message=number)
        if not style.strict or message.get("tool_calls"):
            return _Said(number, name, "function", _call(message, calls, members[1], number, column, style), learn)
    content = message.get(members[1])
    if not isinstance(content, str):
        content = _content(message, members[1], role, number, column, style)
    return _Said(number, name, role, content, learn)


def _call(message: dict[str, Any], calls: object, member: str, number: int, column: str, style: ChatStyle) -> str:
    """A message with tool calls: its own text is left out as in LLaMA-Factory, but for a thought before the calls."""
    text = calls_text(calls, number, column, style.strict)
    beside = message.get(member)
    if isinstance(beside, list):
        beside = parts_text(beside, number, column, member)
    if not beside or style.strict:
        return text
    if isinstance(beside, str) and beside.lstrip().startswith("<think>") and beside.rstrip().endswith("</think>"):
        return beside + text
    style.unused["data_text_beside_calls"] += 1
    return text


def _content(message: dict[str, Any], member: str, role: str | None, number: int, column: str, style: ChatStyle) -> str:
    value = message.get(member)
    if style.openai and isinstance(value, list) and role != "function":
        return parts_text(value, number, column, member)
    if role in ("function", "observation") and isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return _text(message, member, number, column)


def _text(message: dict[str, Any], member: str, number: int, column: str) -> str:
    value = message.get(member)
    if isinstance(value, str):
        return value
    if member not in message:
        raise DroppedRowError("data_row_member", column, message=number, member=member, members=list(message))
    found = type_name(value)
    raise DroppedRowError("data_row_member_type", column, message=number, member=member, found=found)


def _flag_error(column: str, number: int, member: str, value: object, expected: Phrase) -> DroppedRowError:
    scalar = isinstance(value, str | int | float)
    found = clean(json.dumps(value, ensure_ascii=False), FLAG) if scalar else type_name(value)
    return DroppedRowError("data_row_flag", column, message=number, member=member, found=found, expected=expected)


def _learn(message: dict[str, Any], number: int, column: str) -> bool | None:
    """What `weight` (0 or 1) and `loss` (true or false) say; null says nothing."""
    weight, loss = message.get("weight"), message.get("loss")
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        raise _flag_error(column, number, "weight", weight, Phrase("0 or 1"))
    if loss is not None and not isinstance(loss, bool):
        raise _flag_error(column, number, "loss", loss, Phrase("true or false"))
    if weight is None:
        return loss
    if loss is not None and loss != bool(weight):
        raise DroppedRowError("data_row_flags_differ", column, message=number)
    return bool(weight)


def _merged(said: list[_Said], strict: bool) -> list[_Said]:
    """Consecutive tool messages as one; those at the end, to which nothing answers, are left out."""
    merged: list[_Said] = []
    waiting: list[_Said] = []
    for item in said:
        if item.role == "observation":
            waiting.append(item)
            continue
        if waiting:
            merged.append(_joined(waiting, strict))
            waiting = []
        merged.append(item)
    return merged


def _joined(results: list[_Said], strict: bool) -> _Said:
    if len(results) == 1:
        return results[0]
    texts = tuple(item.content for item in results)
    return results[0]._replace(content=(_QWEN_JOIN if strict else "\n").join(texts), results=texts)
