"""One row into one conversation by LLaMA-Factory's rules; a row that breaks one is dropped with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from engine.data.calls import tools_text
from engine.data.chats import LIST, ChatStyle, Roles, message_turns
from engine.data.conversation import Conversation, Turn
from engine.data.dropped import DroppedRowError
from engine.data.entries import Columns, DatasetEntry, Tags
from engine.data.readers.jsonrows import type_name
from engine.data.roles import ROLES
from engine.text import Phrase

Values = Mapping[str, Any]

_LING = (
    "detailed thinking off"  # LLaMA-Factory's openai converter writes a convention of the Ling models into every row
)


def converter(
    entry: DatasetEntry, strict: bool = False, unused: Counter[str] | None = None
) -> Callable[[Values], Conversation]:
    """What makes a conversation of the values of a row, or raises DroppedRowError.

    `strict` reproduces what LLaMA-Factory 0.9.5 does to openai rows; `unused` counts what has no effect, by code.
    """
    if entry.formatting == "alpaca":
        return _Alpaca(entry.columns)
    return _Chat(entry, strict, Counter() if unused is None else unused)


def role_names(tags: Tags) -> Roles:
    """What each role name of the data means."""
    named = {
        tags.user_tag: "user",
        tags.assistant_tag: "assistant",
        tags.observation_tag: "observation",
        tags.function_tag: "function",
        tags.system_tag: "system",
    }
    return {name: role for name, role in named.items() if name is not None}  # type: ignore[misc]


def history_turns(history: object, column: str) -> list[Turn]:
    """User and assistant turns of a list of (prompt, response) pairs; none where it is null, empty or "". Raises
    DroppedRowError."""
    if history is None or history == "" or history == []:
        return []
    if not isinstance(history, list):
        raise DroppedRowError("data_row_type", column, column=column, expected=LIST, found=type_name(history))
    turns = []
    for number, pair in enumerate(history, 1):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise DroppedRowError("data_row_history", column, pair=number)
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    return turns


def text_of(values: Values, column: str | None) -> str:
    """The text of a column, "" where it is null, missing or not used. Raises DroppedRowError for other types."""
    value = values.get(column) if column is not None else None
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DroppedRowError("data_row_type", column, column=column, expected=Phrase("text"), found=type_name(value))
    return value


def answer_of(values: Values, column: str | None) -> str:
    """The response: empty text is one, null is none. Raises DroppedRowError."""
    if column is None or values.get(column) is None:
        raise DroppedRowError("data_row_response_null", column, column=column)
    return text_of(values, column)


class _Alpaca:
    def __init__(self, columns: Columns):
        self._columns = columns

    def __call__(self, values: Values) -> Conversation:
        columns = self._columns
        asked, query = text_of(values, columns.prompt), text_of(values, columns.query)
        if query:
            asked = f"{asked}\n{query}" if asked else query
        turns: tuple[Turn, ...] = (Turn("user", asked), Turn("assistant", answer_of(values, columns.response)))
        if columns.history is not None:
            turns = (*history_turns(values.get(columns.history), columns.history), *turns)
        system = "" if columns.system is None else text_of(values, columns.system)
        return Conversation(turns, system, "" if columns.tools is None else _tools(values, columns.tools))


class _Chat:
    """sharegpt and openai rows. An openai entry without `tags` or `columns` takes the names that people use."""

    def __init__(self, entry: DatasetEntry, strict: bool, unused: Counter[str]):
        openai = entry.formatting == "openai"
        self._columns, self._tags = entry.columns, entry.tags
        self._search = openai and not entry.columns_given
        members = (entry.tags.role_tag or "", entry.tags.content_tag or "")
        self._strict = strict and openai
        if openai and not entry.tags_given:
            self._style = ChatStyle(None, ROLES, True, self._strict, unused)
        else:
            self._style = ChatStyle(members, role_names(entry.tags), openai, self._strict, unused)

    def __call__(self, values: Values) -> Conversation:
        column = self._columns.messages or ""
        if self._search and column not in values:
            column = Columns().messages or ""
        system, turns = message_turns(values.get(column), column, self._style)
        if system is None:
            system = text_of(values, self._columns.system)
        tools = _tools(values, self._columns.tools, self._strict)
        return Conversation(turns, _ling(system, tools) if self._strict else system, tools)


def _tools(values: Values, column: str | None, strict: bool = False) -> str:
    value = values.get(column) if column is not None else None
    if isinstance(value, list | dict):
        return tools_text(value, strict)
    return text_of(values, column)


def _ling(system: str, tools: str) -> str:
    if tools:
        return system + "\n" if system else system
    if not system:
        return _LING
    return system if "detailed thinking on" in system or _LING in system else f"{system}\n{_LING}"
