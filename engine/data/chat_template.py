"""The chat template (Jinja) that is saved with an adapter, so that whoever serves it writes prompts as in training."""

from __future__ import annotations

from typing import Any

from engine.data.conversation import Conversation, Turn
from engine.data.segments import chat_messages, render_chat
from engine.data.templates import CONTENT, Slot, Special, Template, render_text
from engine.errors import DataError

_QUESTION = (Turn("user", "Where is Oslo?"),)
_ANSWERED = (*_QUESTION, Turn("assistant", "In Norway."))
_PROBES = tuple(
    Conversation(turns, system)
    for system in ("", "Be brief.")
    for turns in (_QUESTION, _ANSWERED, (*_ANSWERED, *_QUESTION), (*_ANSWERED, *_ANSWERED))
)


def chat_template_for(tokenizer: Any, template: Template | None) -> str | None:
    """The Jinja text to save in place of the tokenizer's own; None where its own renders the same.

    The tokenizer must have passed `prepare_tokenizer`. Rendering uses the tokenizer's bos_token and eos_token; the
    header of an answer appears before an answer and with add_generation_prompt. Tools and other roles are refused.
    """
    if template is None or (tokenizer.chat_template and _renders_same(tokenizer, template)):
        return None
    return _jinja(template)


def _renders_same(tokenizer: Any, template: Template) -> bool:
    try:
        return all(
            render_chat(tokenizer, chat_messages(probe), ask=len(probe.turns) % 2 == 1)
            == render_text(tokenizer, template, probe)
            for probe in _PROBES
        )
    except DataError:
        return False


def _jinja(template: Template) -> str:
    question = _without_end(template.user, template.generation_prompt)
    header = _write((template.generation_prompt,), "")
    return "".join(
        (
            _write(template.prefix, ""),
            f"{{% set system = {_quoted(template.default_system)} %}}",
            "{% set turns = messages %}",
            "{% if messages[0]['role'] == 'system' %}",
            "{% set system = messages[0]['content'] or system %}{% set turns = messages[1:] %}",
            "{% endif %}",
            f"{{% if system %}}{_write(template.system, 'system')}{{% endif %}}",
            "{% for message in turns %}",
            f"{{% if message['role'] == 'user' %}}{_write(question, _MESSAGE)}",
            f"{{% elif message['role'] == 'assistant' %}}{header}{_write(template.assistant, _MESSAGE)}",
            "{% else %}{{ raise_exception('this chat template knows system, user and assistant only, not '",
            " ~ message['role']) }}{% endif %}",
            "{% endfor %}",
            f"{{% if add_generation_prompt %}}{header}{{% endif %}}",
        )
    )


_MESSAGE = "message['content']"


def _write(slot: Slot, content: str) -> str:
    """Jinja output statements for a slot; `content` is the expression that stands for {{content}}."""
    parts = []
    for element in slot:
        if isinstance(element, Special):
            parts.append(f"{element.value}_token or ''")
            continue
        before, marker, after = element.partition(CONTENT)
        parts += [_quoted(before)] * bool(before) + [content] * bool(marker) + [_quoted(after)] * bool(after)
    # One statement a part: a variable that is not defined renders as nothing, where adding it to a string would fail.
    return "".join(f"{{{{ {part} }}}}" for part in parts)


def _without_end(slot: Slot, end: str) -> Slot:
    last = slot[-1]
    if not isinstance(last, str) or not last.endswith(end):
        raise ValueError(f"the user slot does not end with the generation prompt {end!r}")
    return (*slot[:-1], last.removesuffix(end))


def _quoted(text: str) -> str:
    # Jinja reads backslash escapes as Python does; braces need none inside a string.
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r") + "'"
