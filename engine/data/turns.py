"""One row into one conversation by LLaMA-Factory's rules; a row that breaks one is dropped with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from engine.data.conversation import Conversation, Role, Turn
from engine.data.readers import Row
from engine.data.readers.jsonrows import type_name
from engine.data.registry import Columns, DatasetEntry, Tags
from engine.errors import Problem
from engine.text import Phrase

_LIST = Phrase("a list")

_ASKS: tuple[Role, Role] = ("user", "observation")
_ANSWERS: tuple[Role, Role] = ("assistant", "function")


class DroppedRowError(Exception):
    """Why one row cannot be used: problem code, column and parameters."""

    def __init__(self, code: str, key: str | None = None, **params: Any):
        super().__init__(code)
        self.code, self.key, self.params = code, key, params

    def problem(self, row: Row) -> Problem:
        """The reason with the row's place; `row` in the parameters counts from 1."""
        params = {"row": row.number + 1, **self.params}
        return Problem(self.code, params, self.key, row.file, row.line or None, None, "warning")


def role_names(tags: Tags) -> dict[str, Role | Literal["system"]]:
    """What each role name of the data means."""
    named: dict[str | None, Role | Literal["system"]] = {
        tags.user_tag: "user",
        tags.assistant_tag: "assistant",
        tags.observation_tag: "observation",
        tags.function_tag: "function",
        tags.system_tag: "system",
    }
    return {name: role for name, role in named.items() if name is not None}


def conversation_of(row: Row, entry: DatasetEntry, roles: Mapping[str, Role | Literal["system"]]) -> Conversation:
    """The conversation of one row; `roles` is `role_names(entry.tags)`. Raises DroppedRowError."""
    if entry.formatting == "sharegpt":
        return _sharegpt(row.values, entry.columns, entry.tags, roles)
    return _alpaca(row.values, entry.columns)


def message_turns(
    messages: object, column: str, members: tuple[str, str], roles: Mapping[str, Role | Literal["system"]]
) -> tuple[str | None, tuple[Turn, ...]]:
    """The system prompt (None where the first message is not one) and the turns of a list of messages.

    `members` are the names of the role and the content. Asking and answering messages must alternate, beginning with
    an asking and ending with an answering one. Raises DroppedRowError.
    """
    if messages is None or messages == []:
        raise DroppedRowError("data_row_no_messages", column)
    if not isinstance(messages, list):
        raise DroppedRowError("data_row_type", column, column=column, expected=_LIST, found=type_name(messages))
    pairs = [_message(message, number, column, members) for number, message in enumerate(messages, 1)]
    system = None
    offset = 1
    if roles.get(pairs[0][0]) == "system":
        system, offset = pairs[0][1], 2
        pairs = pairs[1:]
    turns = []
    for place, (name, content) in enumerate(pairs):
        role = roles.get(name)
        if role is None or role == "system":
            if place == 0 and offset == 1 and name == Tags().system_tag:
                raise DroppedRowError("data_row_system_tag_missing", column)
            code = "data_row_role_unknown" if role is None else "data_row_system_late"
            raise DroppedRowError(code, column, message=place + offset, role=name, roles=list(roles))
        if role not in (_ANSWERS if place % 2 else _ASKS):
            raise DroppedRowError("data_row_role_order", column, message=place + offset, role=name)
        turns.append(Turn(role, content))
    if not turns:
        raise DroppedRowError("data_row_no_messages", column)
    if len(turns) % 2:
        raise DroppedRowError("data_row_no_answer", column, messages=len(turns))
    return system, tuple(turns)


def history_turns(history: object, column: str) -> list[Turn]:
    """User and assistant turns of a list of (prompt, response) pairs; none where it is null, empty or "". Raises
    DroppedRowError."""
    if history is None or history == "" or history == []:
        return []
    if not isinstance(history, list):
        raise DroppedRowError("data_row_type", column, column=column, expected=_LIST, found=type_name(history))
    turns = []
    for number, pair in enumerate(history, 1):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise DroppedRowError("data_row_history", column, pair=number)
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    return turns


def text_of(values: Mapping[str, Any], column: str | None) -> str:
    """The text of a column, "" where it is null, missing or not used. Raises DroppedRowError for other types."""
    value = values.get(column) if column is not None else None
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DroppedRowError("data_row_type", column, column=column, expected=Phrase("text"), found=type_name(value))
    return value


def answer_of(values: Mapping[str, Any], column: str | None) -> str:
    """The response: empty text is one, null is none. Raises DroppedRowError."""
    if column is None or values.get(column) is None:
        raise DroppedRowError("data_row_response_null", column, column=column)
    return text_of(values, column)


def _alpaca(values: Mapping[str, Any], columns: Columns) -> Conversation:
    turns = history_turns(values.get(columns.history), columns.history) if columns.history is not None else []
    asked = "\n".join(text for column in (columns.prompt, columns.query) if (text := text_of(values, column)))
    answer = Turn("assistant", answer_of(values, columns.response))
    system, tools = text_of(values, columns.system), _tools(values, columns.tools)
    return Conversation((*turns, Turn("user", asked), answer), system, tools)


def _sharegpt(
    values: Mapping[str, Any], columns: Columns, tags: Tags, roles: Mapping[str, Role | Literal["system"]]
) -> Conversation:
    column = columns.messages or ""
    members = (tags.role_tag or "", tags.content_tag or "")
    system, turns = message_turns(values.get(column), column, members, roles)
    if system is None:
        system = text_of(values, columns.system)
    return Conversation(turns, system, _tools(values, columns.tools))


def _tools(values: Mapping[str, Any], column: str | None) -> str:
    value = values.get(column) if column is not None else None
    if isinstance(value, list | dict):
        raise DroppedRowError("data_row_tools", column, column=column, found=type_name(value))
    return text_of(values, column)


def _message(message: object, number: int, column: str, members: tuple[str, str]) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise DroppedRowError("data_row_message", column, message=number, found=type_name(message))
    for member in members:
        if member not in message:
            raise DroppedRowError("data_row_member", column, message=number, member=member, members=list(message))
        if not isinstance(message[member], str):
            found = type_name(message[member])
            raise DroppedRowError("data_row_member_type", column, message=number, member=member, found=found)
    return message[members[0]], message[members[1]]
