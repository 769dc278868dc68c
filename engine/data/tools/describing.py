"""The text that tells a model of its tools, in each dialect. The fixed parts stand in templates/tools/prompts.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from engine.data.tools.calls import ToolsUnreadable, read_tools, to_json

Tool = dict[str, Any]
Describe = Callable[[str, date], str]
_GAP = re.compile(r"\{(tools|names|date)\}")


def _described(name: str, write: Callable[[list[Tool]], dict[str, str]]) -> Describe:
    """A description: the prompt of that name, its gaps filled with what `write` makes of the tools.

    A row whose list of tools is empty gets no text at all. The result raises ToolsUnreadable.
    """

    def describe(text: str, today: date) -> str:
        tools = read_tools(text)
        if not tools:
            return ""
        try:
            gaps = write(tools)
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            missing = f"a tool lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ToolsUnreadable(missing) from error
        gaps["date"] = today.strftime("%d %b %Y")
        return _GAP.sub(lambda gap: gaps[gap[1]], _prompts()[name])

    return describe


@cache
def _prompts() -> dict[str, str]:
    raw: dict[str, str] = yaml.safe_load((files("templates") / "tools" / "prompts.yaml").read_text(encoding="utf-8"))
    return raw


def _function(tool: Tool) -> Tool:
    """The bare description of a function that may be wrapped as OpenAI's API does."""
    inner = tool["function"] if tool.get("type") == "function" else tool
    if not isinstance(inner, dict):
        raise TypeError("a tool is not an object")
    return inner


def _inner(tool: Tool) -> Tool:
    """As `_function`, for dialects that take a flat tool of type function as it is."""
    inner: Tool = tool.get("function", tool) if tool.get("type") == "function" else tool
    return inner


def _wrapped(tool: Tool) -> Tool:
    return tool if tool.get("type") == "function" else {"type": "function", "function": tool}


def _lines(tools: Iterable[Tool]) -> dict[str, str]:
    return {"tools": "".join("\n" + to_json(tool) for tool in tools)}


def _default(tools: list[Tool]) -> dict[str, str]:
    functions = [_function(tool) for tool in tools]
    texts = []
    for function in functions:
        required = function["parameters"].get("required", [])
        arguments = (_argument(name, raw, required) for name, raw in function["parameters"]["properties"].items())
        texts.append(
            f"> Tool Name: {function['name']}\nTool Description: {function.get('description', '')}\n"
            f"Tool Args:\n{''.join(arguments)}\n"
        )
    return {"tools": "".join(texts), "names": ", ".join(function["name"] for function in functions)}


def _argument(name: str, raw: Tool, required: list[str]) -> str:
    must = ", required" if name in required else ""
    choices = f", should be one of [{', '.join(map(str, raw['enum']))}]" if raw.get("enum") else ""
    items = f", where each item should be {raw['items'].get('type', '')}" if raw.get("items") else ""
    return f"  - {name} ({raw.get('type', '')}{must}): {raw.get('description', '')}{choices}{items}\n"


def _gemma4(tools: list[Tool]) -> dict[str, str]:
    return {"tools": "\n".join(_declaration(_inner(tool)) for tool in tools)}


def _declaration(function: Tool) -> str:
    fields = [f"description:{_quoted(function.get('description', ''))}"]
    parameters = function.get("parameters")
    if parameters:
        parts = []
        if parameters.get("properties"):
            inner = ",".join(f"{name}:{{{_schema(raw)}}}" for name, raw in parameters["properties"].items())
            parts.append(f"properties:{{{inner}}}")
        if parameters.get("required"):
            parts.append(f"required:[{','.join(_quoted(name) for name in parameters['required'])}]")
        if parameters.get("type"):
            parts.append(f"type:{_quoted(str(parameters['type']).upper())}")
        fields.append(f"parameters:{{{','.join(parts)}}}")
    response = function.get("response")
    if response:
        parts = [f"description:{_quoted(response['description'])}"] if response.get("description") else []
        parts += [f"type:{_quoted('OBJECT')}"] if str(response.get("type", "")).upper() == "OBJECT" else []
        fields.append(f"response:{{{','.join(parts)}}}")
    return f"declaration:{function['name']}{{{','.join(fields)}}}"


def _schema(raw: Tool) -> str:
    parts = [f"description:{_quoted(raw['description'])}"] if raw.get("description") else []
    parts += [f"type:{_quoted(str(raw['type']).upper())}"] if raw.get("type") else []
    return ",".join(parts)


def _quoted(text: Any) -> str:
    return f'<|"|>{text}<|"|>'


def _glm4(tools: list[Tool]) -> dict[str, str]:
    end = "在调用上述函数时，请使用 Json 格式表示调用的参数。"
    texts = (f"\n\n## {one['name']}\n\n{to_json(one, indent=4)}\n{end}" for one in map(_function, tools))
    return {"tools": "".join(texts)}


default = _described("default", _default)
gemma4 = _described("gemma4", _gemma4)
glm4 = _described("glm4", _glm4)
glm4_moe = _described("glm4_moe", lambda tools: _lines(map(_wrapped, tools)))
lfm2 = _described("lfm2", lambda tools: {"tools": to_json([_inner(tool) for tool in tools])})
ling = _described("ling", lambda tools: _lines(map(_wrapped, tools)))
llama3 = _described(
    "llama3", lambda tools: {"tools": "".join(to_json(_wrapped(tool), indent=4) + "\n\n" for tool in tools)}
)
minimax1 = _described("minimax1", lambda tools: {"tools": "".join(to_json(_function(tool)) + "\n" for tool in tools)})
minimax2 = _described(
    "minimax2", lambda tools: {"tools": "".join(f"<tool>{to_json(_function(tool))}</tool>\n" for tool in tools)}
)
mistral = _described("mistral", lambda tools: {"tools": to_json([_wrapped(tool) for tool in tools])})
qwen = _described("qwen", lambda tools: _lines(map(_wrapped, tools)))
qwen3_5 = _described("qwen3_5", lambda tools: _lines(map(_inner, tools)))
seed_oss = _described("seed_oss", lambda tools: {"tools": "\n" + to_json(tools)})


def phi4_mini(text: str, today: date) -> str:
    """The tools as the row wrote them, between marks."""
    return _prompts()["phi4_mini"].replace("{tools}", text, 1)
