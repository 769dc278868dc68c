"""A chat template's slots, and what they make of a conversation: elements, each of which is tokenised on its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import lru_cache
from typing import Literal

from engine.data.conversation import Conversation, Turn
from engine.data.tools import dialect
from engine.data.tools.calls import ToolsUnreadable, read_calls

CONTENT = "{{content}}"
_TURN_NUMBER = "{{idx}}"


class Special(Enum):
    """A token that the tokenizer names: left out where it has none."""

    BOS = "bos"
    EOS = "eos"


@dataclass(frozen=True, slots=True)
class Token:
    """One entry of the vocabulary, looked up by its name rather than tokenised."""

    text: str


Element = str | Special | Token
Slot = tuple[Element, ...]
Reasoning = Literal["none", "think", "glm47"]


@dataclass(frozen=True, slots=True)
class Template:
    """The slots of one chat template; templates/chat/chatml.yaml tells what each field means.

    `user` ends with `generation_prompt`, the header of the answer to come.
    """

    name: str
    family: str
    description: str
    prefix: Slot
    system: Slot
    user: Slot
    assistant: Slot
    function: Slot
    observation: Slot
    generation_prompt: Slot
    tools: str = "default"
    default_system: str = ""
    stop_words: tuple[str, ...] = ()
    thought_words: tuple[str, str] = ("<think>\n", "\n</think>\n\n")
    tool_call_words: tuple[str, str] = ("<tool_call>", "</tool_call>")
    efficient_eos: bool = False
    replace_eos: bool = False
    replace_jinja: bool = False
    reasoning: Reasoning = "none"
    fuse_system: bool = False
    tool_format: str | None = None  # the dialect that a config put in place of the template's own

    @property
    def dated(self) -> bool:
        """Whether the text that describes tools names today's date, so that tokens change from day to day."""
        return dialect(self.tools).dated

    @property
    def empty_thought(self) -> str:
        """What stands for an answer's reasoning where it has none."""
        return self.thought_words[1] if self.reasoning == "glm47" else "".join(self.thought_words)

    def slots(self) -> Iterator[Element]:
        """Every element that the template can write, its texts unfilled."""
        for slot in (self.prefix, self.system, self.user, self.assistant, self.function, self.observation):
            yield from slot

    def turns(
        self, conversation: Conversation, *, today: date | None = None, strict: bool = False
    ) -> list[list[Element]]:
        """The elements of each turn; prefix, system prompt and tools open the first one.

        An empty system prompt means the template's default one, as in LLaMA-Factory. `strict` fills {{idx}} in a
        question with the number of its exchange, as 0.9.5 does. Raises ToolsUnreadable.
        """
        opening, fused = self._opening(conversation, today or date.today())
        turns = [self._turn(number, turn, fused, strict) for number, turn in enumerate(conversation.turns)]
        if turns:
            turns[0] = opening + turns[0]
        return turns

    def _opening(self, conversation: Conversation, today: date) -> tuple[list[Element], str]:
        """What stands in front of the first turn, and the system text that goes into it where they are fused."""
        system = conversation.system or self.default_system
        if not (system or conversation.tools):
            return list(self.prefix), ""
        text = system + (_describe(self.tools, conversation.tools, today) if conversation.tools else "")
        filled = fill(self.system, text)
        if self.fuse_system:
            return list(self.prefix), str(filled[0])
        return [*self.prefix, *filled], ""

    def _turn(self, number: int, turn: Turn, fused: str, strict: bool) -> list[Element]:
        lead = fused if number == 0 else ""
        if turn.role == "user":
            filled = fill(self.user, lead + turn.content)
            return [_numbered(element, number // 2) for element in filled] if strict else filled
        if turn.role == "assistant":
            return fill(self.assistant, turn.content)
        if turn.role == "observation":
            return fill(self.observation, turn.content)
        before, calls = read_calls(turn.content, self.thought_words, self.tool_call_words)
        return fill(self.function, before + dialect(self.tools).call(calls))


def fill(slot: Slot, content: str) -> list[Element]:
    """The slot's elements with the content put in, once an element."""
    return [element.replace(CONTENT, content, 1) if isinstance(element, str) else element for element in slot]


def _numbered(element: Element, number: int) -> Element:
    return element.replace(_TURN_NUMBER, str(number), 1) if isinstance(element, str) else element


@lru_cache(maxsize=256)
def _describe(name: str, tools: str, today: date) -> str:
    """Rows of one dataset often share their tools."""
    return dialect(name).describe(tools, today)


__all__ = ["CONTENT", "Element", "Slot", "Special", "Template", "Token", "ToolsUnreadable", "fill"]
