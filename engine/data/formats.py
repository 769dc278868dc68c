"""Rows into conversations by LLaMA-Factory's rules for alpaca and sharegpt; a row that breaks one names its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from engine.data.conversation import Conversation, Origin, Role, Sample, Turn
from engine.data.readers import Row
from engine.data.readers.jsonrows import type_name
from engine.data.registry import Columns, DatasetEntry, Tags, nearest
from engine.errors import DataError, Problem

_ALPACA_PARTS = ("prompt", "query", "response", "history", "system", "tools")
_SHAREGPT_PARTS = ("messages", "system", "tools")
# Fields whose name says what they are for: worth a word when the columns object leaves them out.
_USUAL_NAMES = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "history": "history",
    "system": "system",
    "tools": "tools",
}
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


def expected_columns(entry: DatasetEntry) -> dict[str, str]:
    """The column of every part that the entry's format uses: part → column name."""
    parts = _SHAREGPT_PARTS if entry.formatting == "sharegpt" else _ALPACA_PARTS
    return {part: column for part in parts if (column := getattr(entry.columns, part)) is not None}


def check_columns(rows: Sequence[Row], entry: DatasetEntry, seen: Sequence[str] | None = None) -> list[Problem]:
    """Compares the columns that rows hold with those the entry names; returns notes on fields that go unused.

    `seen` are the columns of the whole file where `rows` is only its beginning. Raises DataError where a named column
    is in no row; the default query column `input` may be absent.
    """
    present = list(dict.fromkeys(name for row in rows for name in row.values)) if seen is None else list(seen)
    place = rows[0].file if rows else (str(entry.files[0]) if entry.files else None)
    expected = expected_columns(entry)
    missing, notes = [], []
    for part, column in expected.items():
        if column in present:
            continue
        params = {"name": entry.name, "part": part, "column": column, "columns": present}
        if part == "query" and not entry.columns_given:
            unused = [name for name in present if name not in expected.values()]
            if unused:
                notes.append(Problem("dataset_no_query", {**params, "unused": unused}, column, place, severity="note"))
        else:
            params["nearest"] = nearest(column, present)
            missing.append(Problem("dataset_column_missing", params, column, place))
    if missing:
        raise DataError(*missing)
    return notes + _ignored(rows, entry, expected, place)


def conversations(rows: Sequence[Row], entry: DatasetEntry) -> Iterator[Sample | Problem]:
    """A Sample for every usable row and a Problem (severity warning) for every other one, in order.

    Raises DataError at once where a column that the entry names is in no row (see `check_columns`).
    """
    check_columns(rows, entry)
    return converted(rows, entry)


def converted(rows: Sequence[Row], entry: DatasetEntry) -> Iterator[Sample | Problem]:
    """`conversations` for rows whose columns have been checked."""
    roles = role_names(entry.tags)
    for row in rows:
        try:
            if entry.formatting == "sharegpt":
                conversation = _sharegpt(row.values, entry.columns, entry.tags, roles)
            else:
                conversation = _alpaca(row.values, entry.columns)
        except DroppedRowError as dropped:
            yield dropped.problem(row)
        else:
            yield Sample(conversation, Origin(row.file, row.line, row.number))


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
        raise DroppedRowError("data_row_type", column, column=column, expected="a list", found=type_name(messages))
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
        raise DroppedRowError("data_row_type", column, column=column, expected="a list", found=type_name(history))
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
        raise DroppedRowError("data_row_type", column, column=column, expected="text", found=type_name(value))
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


def _ignored(rows: Sequence[Row], entry: DatasetEntry, expected: dict[str, str], place: str | None) -> list[Problem]:
    """Notes on fields that the rows fill and the entry does not use, though their name says what they are for."""
    parts = ("system", "tools") if entry.formatting == "sharegpt" else _ALPACA_PARTS
    used = set(expected.values())
    notes = []
    for part in parts:
        name = _USUAL_NAMES[part]
        if getattr(entry.columns, part) is not None or name in used:
            continue
        count = sum(1 for row in rows if row.values.get(name))
        if count:
            params = {"name": entry.name, "part": part, "column": name, "rows": count}
            notes.append(Problem("dataset_column_ignored", params, name, place, severity="warning"))
    return notes
