"""Whether a named template writes conversations as the model's own chat template does, and where the two part."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engine.data.conversation import Conversation, Turn
from engine.data.segments import chat_messages, render_chat
from engine.data.templates import Template, render_text
from engine.errors import DataError

AROUND = 24  # characters shown before the difference
AFTER = 48  # and from it on

_QUESTION = (Turn("user", "Where is Oslo?"),)
_ANSWERED = (*_QUESTION, Turn("assistant", "In Norway."))
PROBES = (
    Conversation(_ANSWERED),
    Conversation(_ANSWERED, "Be brief."),
    Conversation((*_ANSWERED, *_ANSWERED), "Be brief."),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place at which the texts differ, `at` characters from the start, with what stands around it.

    `named` and `own` begin at the same character; `system` and `turns` tell the conversation that was written.
    """

    at: int
    named: str
    own: str
    system: str
    turns: int

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def first_difference(tokenizer: Any, template: Template, chat_template: str) -> Difference | None:
    """Between the named template and `chat_template`, the one that came with the model; None where there is none.

    The tokenizer must have passed `prepare_tokenizer`. A conversation that the model's template refuses is passed over.
    """
    before = tokenizer.chat_template
    tokenizer.chat_template = chat_template
    try:
        for probe in PROBES:
            try:
                own = render_chat(tokenizer, chat_messages(probe), ask=False)
            except DataError:
                continue
            named = render_text(tokenizer, template, probe)
            if named != own:
                at = _common(named, own)
                start = max(0, at - AROUND)
                end = at + AFTER
                return Difference(at, named[start:end], own[start:end], probe.system, len(probe.turns))
    finally:
        tokenizer.chat_template = before
    return None


def _common(one: str, other: str) -> int:
    """How many characters at the start are the same."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))
