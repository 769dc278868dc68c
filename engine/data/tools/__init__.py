"""How tools are described to a model, and how it calls them: one dialect for each family of models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from engine.data.tools import describing, writing
from engine.data.tools.calls import Call, ToolsUnreadable


@dataclass(frozen=True, slots=True)
class Dialect:
    """`describe(tools as JSON text, today)` makes the text that follows the system prompt, `call` that of an answer.

    Both raise ToolsUnreadable where the data does not hold what they need.
    """

    describe: Callable[[str, date], str]
    call: Callable[[list[Call]], str]
    dated: bool = False


DIALECTS = {
    "default": Dialect(describing.default, writing.default),
    "gemma4": Dialect(describing.gemma4, writing.gemma4),
    "glm4": Dialect(describing.glm4, writing.glm4),
    "glm4_moe": Dialect(describing.glm4_moe, writing.glm4_moe),
    "lfm2": Dialect(describing.lfm2, writing.lfm2),
    "ling": Dialect(describing.ling, writing.qwen),
    "llama3": Dialect(describing.llama3, writing.llama3, dated=True),
    "minimax1": Dialect(describing.minimax1, writing.minimax1),
    "minimax2": Dialect(describing.minimax2, writing.minimax2),
    "mistral": Dialect(describing.mistral, writing.mistral),
    "phi4_mini": Dialect(describing.phi4_mini, writing.default),
    "qwen": Dialect(describing.qwen, writing.qwen),
    "qwen3_5": Dialect(describing.qwen3_5, writing.qwen3_5),
    "seed_oss": Dialect(describing.seed_oss, writing.seed_oss),
}


def dialect(name: str) -> Dialect:
    """The dialect of that name; KeyError where there is none."""
    return DIALECTS[name]


__all__ = ["DIALECTS", "Call", "Dialect", "ToolsUnreadable", "dialect"]
