"""Tool calls and content of OpenAI messages: function objects as one JSON list, text parts as one text."""

from __future__ import annotations

import json
from typing import Any

from engine.data.dropped import DroppedRowError
from engine.data.readers.jsonrows import type_name
from engine.text import Phrase


def calls_text(calls: object, number: int, column: str, strict: bool) -> str:
    """The function objects of `tool_calls` (a list) or `function_call` (one object) as a JSON list.

    Arguments that are themselves JSON text, as OpenAI writes them, become objects; `strict` leaves them text, which
    LLaMA-Factory's tool formatters then quote once more. Raises DroppedRowError.
    """
    found = calls if isinstance(calls, list) else [{"function": calls}]
    return json.dumps([_function(call, number, column, strict) for call in found], ensure_ascii=False)


def parts_text(parts: list[Any], number: int, column: str, member: str) -> str:
    """The text of a content that is a list of text parts. Raises DroppedRowError for parts that are not text."""
    texts = []
    for part in parts:
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, dict) else None
            found = Phrase("{kind!s}", {"kind": kind}) if isinstance(kind, str) else type_name(part)
            raise DroppedRowError("data_row_part", column, message=number, member=member, found=found)
        texts.append(text)
    return "".join(texts)


def tools_text(tools: list[Any] | dict[str, Any], strict: bool) -> str:
    """A native list of tools, or a single one, as JSON text; "" for none."""
    if isinstance(tools, dict) and not strict:
        tools = [tools] if tools else []
    return json.dumps(tools, ensure_ascii=False) if tools or strict else ""


def _function(call: object, number: int, column: str, strict: bool) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise DroppedRowError("data_row_call", column, message=number)
    arguments = function.get("arguments")
    if strict or isinstance(arguments, dict):
        return function
    if isinstance(arguments, str) and arguments.strip():
        try:
            arguments = json.loads(arguments)
        except ValueError:
            arguments = arguments.strip()
    elif arguments is None or arguments == "":
        arguments = {}
    if not isinstance(arguments, dict):
        name = function["name"]
        raise DroppedRowError("data_row_arguments", column, message=number, function=name, found=type_name(arguments))
    return {**function, "arguments": arguments}
