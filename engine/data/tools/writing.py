"""Tool calls as each family of models writes them."""

from __future__ import annotations

from typing import Any

from engine.data.tools.calls import Call, ToolsUnreadable, to_json


def default(calls: list[Call]) -> str:
    """ReAct: an action and its input."""
    return "\n".join(f"Action: {call.name}\nAction Input: {to_json(call.arguments)}" for call in calls)


def glm4(calls: list[Call]) -> str:
    """The name on one line, the arguments on the next. Raises ToolsUnreadable on more than one call."""
    if len(calls) != 1:
        raise ToolsUnreadable("this tool format knows one call at a time, not several")
    return f"{calls[0].name}\n{to_json(calls[0].arguments)}"


def glm4_moe(calls: list[Call]) -> str:
    """Each argument in XML of its own."""
    return "\n".join(
        f"\n<tool_call>{call.name}"
        + "".join(f"\n<arg_key>{key}</arg_key>\n<arg_value>{_plain(value)}</arg_value>" for key, value in call.items())
        for call in calls
    )


def lfm2(calls: list[Call]) -> str:
    """A list of Python calls."""
    written = []
    for call in calls:
        pairs = (
            f'{key}="{value}"' if isinstance(value, str) else f"{key}={to_json(value)}" for key, value in call.items()
        )
        written.append(f"{call.name}({', '.join(pairs)})")
    return f"<|tool_call_start|>[{', '.join(written)}]<|tool_call_end|>"


def llama3(calls: list[Call]) -> str:
    """One JSON object, or a list of them."""
    objects = [{"name": call.name, "parameters": call.arguments} for call in calls]
    return to_json(objects[0] if len(objects) == 1 else objects)


def minimax1(calls: list[Call]) -> str:
    """JSON lines in XML."""
    return "<tool_calls>\n" + "\n".join(_object(call) for call in calls) + "\n</tool_calls>"


def minimax2(calls: list[Call]) -> str:
    """An invocation with named parameters each."""
    return "\n".join(
        f'<invoke name="{call.name}">'
        + "".join(f'\n<parameter name="{key}">{_plain(value)}</parameter>' for key, value in call.items())
        + "\n</invoke>"
        for call in calls
    )


def mistral(calls: list[Call]) -> str:
    """A JSON list."""
    return to_json([{"name": call.name, "arguments": call.arguments} for call in calls])


def qwen(calls: list[Call]) -> str:
    """JSON in XML, one block a call."""
    return "\n".join(f"<tool_call>\n{_object(call)}\n</tool_call>" for call in calls)


def qwen3_5(calls: list[Call]) -> str:
    """XML throughout, values on lines of their own."""
    return "\n".join(
        f"<tool_call>\n<function={call.name}>"
        + "".join(f"\n<parameter={key}>\n{_plain(value)}\n</parameter>" for key, value in call.items())
        + "\n</function>\n</tool_call>"
        for call in calls
    )


def seed_oss(calls: list[Call]) -> str:
    """XML throughout, in Seed's own tags; the tag of the function is left open, as in LLaMA-Factory."""
    return "\n".join(
        f"\n<seed:tool_call>\n<function={call.name}"
        + "".join(f"\n<parameter={key}>{_plain(value)}</parameter>" for key, value in call.items())
        + "\n</function>\n</seed:tool_call>"
        for call in calls
    )


def gemma4(calls: list[Call]) -> str:
    """Gemma's own notation: sorted keys, strings between quote marks of its own."""
    return "".join(f"<|tool_call>call:{call.name}{{{_gemma_arguments(call.arguments)}}}<tool_call|>" for call in calls)


def _gemma_arguments(arguments: Any) -> str:
    if isinstance(arguments, dict):
        return ",".join(f"{key}:{_gemma(arguments[key])}" for key in sorted(arguments))
    return arguments if isinstance(arguments, str) else _gemma(arguments)


def _gemma(value: Any) -> str:
    if isinstance(value, str):
        return f'<|"|>{value}<|"|>'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_gemma(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_gemma(item) for item in value) + "]"
    return "null" if value is None else str(value)


def _object(call: Call) -> str:
    return to_json({"name": call.name, "arguments": call.arguments})


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value)
