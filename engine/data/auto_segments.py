"""Conversations to token ids with the chat template that the tokenizer carries."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain
from typing import Any

from engine.data.conversation import Conversation, Turn
from engine.data.options import EncodeOptions
from engine.data.pairs import Pair, Segments
from engine.data.template_files import shipped
from engine.data.token_ids import encode_texts, encode_with_starts
from engine.data.tools.calls import ToolsUnreadable, read_calls, read_tools
from engine.errors import ConfigError, DataError, Problem

Message = dict[str, Any]
Span = tuple[int, int]
_THOUGHT = ("<think>", "</think>")
_CALL = ("<tool_call>", "</tool_call>")


class AutoSegmenter:
    """The tokenizer's own chat template: rendered and tokenised whole, answers found by rendering up to each one."""

    def __init__(self, tokenizer: Any, options: EncodeOptions | None = None):
        """Raises ConfigError no_chat_template, tokenizer_not_fast (offsets need a fast tokenizer)."""
        require_chat_template(tokenizer)
        if not tokenizer.is_fast:
            raise ConfigError(Problem("tokenizer_not_fast", {"shipped": list(shipped())}, key="template"))
        self._tokenizer = tokenizer
        self._split_special = options is not None and options.split_special_tokens
        self._thinking = options.enable_thinking if options is not None else None

    def __call__(self, conversations: Sequence[Conversation]) -> list[Segments | Problem]:
        """See `Segmenter`. Problems chat_template_refused, chat_template_ignores_tools, tools_unreadable."""
        rendered = [self._render(conversation) for conversation in conversations]
        texts = [one[0] for one in rendered if not isinstance(one, Problem)]
        encoded = encode_with_starts(self._tokenizer, texts, split_special=self._split_special)
        results: list[Segments | Problem] = []
        for conversation, one in zip(conversations, rendered, strict=True):
            if isinstance(one, Problem):
                results.append(one)
                continue
            spans = one[1]
            pairs = _split(*next(encoded), list(spans.values()))
            results.append(Segments(pairs, len(conversation.turns) // 2 - len(spans), list(spans)))
        return results

    def prompts(self, conversations: Sequence[Conversation]) -> list[Segments | Problem]:
        """See `Segmenter`. Problems as above."""
        rendered = [self._prompt(conversation) for conversation in conversations]
        texts = list(chain.from_iterable(one for one in rendered if not isinstance(one, Problem)))
        ids = iter(encode_texts(self._tokenizer, texts, split_special=self._split_special))
        return [one if isinstance(one, Problem) else Segments([(next(ids), next(ids))]) for one in rendered]

    def _render(self, conversation: Conversation) -> tuple[str, dict[int, Span]] | Problem:
        """The text, and by exchange the characters of the answers that stand in it as they are rendered last."""
        try:
            messages, tools = chat_messages(conversation), chat_tools(conversation)
            whole = self._text(messages, tools)
            first = len(messages) - len(conversation.turns)
            spans = {}
            for answer in range(first + 1, len(messages), 2):
                # Templates may rewrite earlier answers (drop their reasoning): such a one has no place to be found at.
                asked = self._text(messages[:answer], tools, ask=True)
                last = answer + 1 == len(messages)
                answered = whole if last else self._text(messages[: answer + 1], tools)
                if whole.startswith(answered) and answered.startswith(asked):
                    spans[(answer - first) // 2] = (len(asked), len(answered))
        except (DataError, ToolsUnreadable) as error:
            return _problem(error)
        return _lost_tools(messages, tools, whole) or (whole, spans)

    def _prompt(self, conversation: Conversation) -> tuple[str, str] | Problem:
        """The text up to where the last answer begins, and the answer."""
        try:
            messages, tools = chat_messages(conversation), chat_tools(conversation)
            if len(conversation.turns) % 2:
                return self._text(messages, tools, ask=True), ""
            asked = self._text(messages[:-1], tools, ask=True)
            whole = self._text(messages, tools)
        except (DataError, ToolsUnreadable) as error:
            return _problem(error)
        answer = whole.removeprefix(asked) if whole.startswith(asked) else conversation.turns[-1].content
        return _lost_tools(messages, tools, whole) or (asked, answer)

    def _text(self, messages: list[Message], tools: list[Message] | None, *, ask: bool = False) -> str:
        return render_chat(self._tokenizer, messages, ask=ask, tools=tools, enable_thinking=self._thinking)


def require_chat_template(tokenizer: Any) -> None:
    """Raise ConfigError no_chat_template where the tokenizer carries none."""
    if not tokenizer.chat_template:
        raise ConfigError(Problem("no_chat_template", {"shipped": list(shipped())}, key="template"))


def render_chat(
    tokenizer: Any,
    messages: list[Message],
    *,
    ask: bool = False,
    tools: list[Message] | None = None,
    enable_thinking: bool | None = None,
) -> str:
    """The text that the tokenizer's chat template makes of `messages`; `ask` adds the header of the next answer.

    The template hears of enable_thinking only where it is False: true is what templates that know it begin with.
    Runs in transformers' sandboxed renderer. Raises DataError chat_template_refuses_prompt with the template's words.
    """
    from jinja2 import TemplateError

    thinking = {"enable_thinking": False} if enable_thinking is False else {}
    try:
        text: str = tokenizer.apply_chat_template(
            messages, tools=tools, tokenize=False, add_generation_prompt=ask, **thinking
        )
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise DataError(Problem("chat_template_refuses_prompt", {"reason": str(error)[:200]})) from error
    return text


def chat_messages(conversation: Conversation) -> list[Message]:
    """The conversation in the form that chat templates take; a system message only where it has one.

    Calls of tools carry ids of nine characters, which some templates ask for, and answers of tools the first of them.
    Raises ToolsUnreadable.
    """
    messages: list[Message] = [{"role": "system", "content": conversation.system}] if conversation.system else []
    called: Message = {}
    for number, turn in enumerate(conversation.turns):
        if turn.role == "function":
            messages.append(_call_message(turn, number))
            called = messages[-1]["tool_calls"][0]
        elif turn.role == "observation":
            about = {"tool_call_id": called["id"], "name": called["function"]["name"]} if called else {}
            messages.append({"role": "tool", "content": turn.content, **about})
        else:
            messages.append({"role": turn.role, "content": turn.content})
    return messages


def chat_tools(conversation: Conversation) -> list[Message] | None:
    """The tools of a conversation as chat templates take them, each wrapped as a function. Raises ToolsUnreadable."""
    tools = read_tools(conversation.tools) if conversation.tools else []
    wrapped = [tool if tool.get("type") == "function" else {"type": "function", "function": tool} for tool in tools]
    return wrapped or None


def _call_message(turn: Turn, number: int) -> Message:
    beside, calls = read_calls(turn.content, _THOUGHT, _CALL)
    written = [
        {
            "id": f"call{number:03d}{place:02d}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for place, call in enumerate(calls)
    ]
    if not written:
        raise ToolsUnreadable("a tool call names no tool")
    return {"role": "assistant", "content": beside, "tool_calls": written}


def _lost_tools(messages: list[Message], tools: list[Message] | None, text: str) -> Problem | None:
    """A problem where a chat template leaves out what it does not know: the model would learn to answer nothing."""
    functions = [tool.get("function") for tool in tools or ()]
    names = [str(function.get("name", "")) for function in functions if isinstance(function, dict)]
    names += [call["function"]["name"] for message in messages for call in message.get("tool_calls", ())]
    return Problem("chat_template_ignores_tools") if any(name not in text for name in names) else None


def _problem(error: DataError | ToolsUnreadable) -> Problem:
    if isinstance(error, ToolsUnreadable):
        return Problem("tools_unreadable", {"reason": str(error)})
    return Problem("chat_template_refused", error.problems[0].params)


def _split(ids: list[int], starts: list[int], spans: list[Span]) -> list[Pair]:
    """Cut at the first token that starts at or after each answer's start and end; what follows the last is a source."""
    pairs: list[Pair] = []
    done = 0
    for start, end in spans:
        first = bisect_left(starts, start, done)
        last = bisect_left(starts, end, first)
        pairs.append((ids[done:first], ids[first:last]))
        done = last
    if done < len(ids):
        pairs.append((ids[done:], []))
    return pairs
