"""The chat template (Jinja) that is saved with an adapter, so that whoever serves it writes prompts as in training."""

from __future__ import annotations

from itertools import product
from typing import Any

from engine.data.conversation import Conversation, Turn
from engine.data.options import EncodeOptions
from engine.data.segments import chat_messages, render_chat
from engine.data.templates import CONTENT, Element, Slot, Special, Template, Token, render_text
from engine.errors import DataError

_QUESTION = (Turn("user", "Where is Oslo?"),)
_ANSWERED = (*_QUESTION, Turn("assistant", "In Norway."))
_TALKS = (_QUESTION, _ANSWERED, (*_ANSWERED, *_QUESTION), (*_ANSWERED, *_ANSWERED))


def chat_template_for(tokenizer: Any, template: Template | None, options: EncodeOptions | None = None) -> str | None:
    """The Jinja text to save in place of the tokenizer's own; None where its own renders the same.

    The tokenizer must have passed `prepare_tokenizer`. Rendering uses the tokenizer's bos_token and eos_token; the
    header of an answer appears before an answer and with add_generation_prompt. Thoughts are treated as in a prompt
    (`prompt_turns`), after enable_thinking and preserve_thinking of the options; whoever renders may set
    enable_thinking otherwise. Tools and other roles are refused.
    """
    options = options or EncodeOptions(cutoff_len=0)
    if template is None or (tokenizer.chat_template and _renders_same(tokenizer, template, options)):
        return None
    return _jinja(template, options)


def renders_as(tokenizer: Any, template: Template) -> bool:
    """Whether the tokenizer's chat template writes what the named one does, whatever a run chose for its thoughts."""
    if not tokenizer.chat_template:
        return False
    thoughts = product((True, False, None), (False, True)) if template.reasoning != "none" else [(True, False)]
    options = (EncodeOptions(0, enable_thinking=enable, preserve_thinking=preserve) for enable, preserve in thoughts)
    return any(_renders_same(tokenizer, template, one) for one in options)


def _renders_same(tokenizer: Any, template: Template, options: EncodeOptions) -> bool:
    talks = list(_TALKS)
    if template.reasoning != "none":
        thought = Turn("assistant", "In Norway.".join(template.thought_words) + "Oslo.")
        talks += [(*_QUESTION, thought), (*_QUESTION, thought, *_ANSWERED)]
    probes = [Conversation(turns, system) for system in ("", "Be brief.") for turns in talks]
    try:
        return all(
            render_chat(tokenizer, chat_messages(probe), ask=len(probe.turns) % 2 == 1)
            == render_text(tokenizer, template, probe, options)
            for probe in probes
        )
    except DataError:
        return False


def _jinja(template: Template, options: EncodeOptions) -> str:
    question = _without_end(template.user, template.generation_prompt)
    header = _write(template.generation_prompt, "")
    opening, asked = f"{{% if system %}}{_write(template.system, 'system')}{{% endif %}}", _MESSAGE
    if template.fuse_system:
        fused = " ~ ".join(_parts(template.system, "system"))
        opening, asked = "", f"(({fused} if loop.first and system else '') ~ {_MESSAGE})"
    return "".join(
        (
            _write(template.prefix, ""),
            f"{{% set system = {_quoted(template.default_system)} %}}",
            "{% set turns = messages %}",
            "{% if messages[0]['role'] == 'system' %}",
            "{% set system = messages[0]['content'] or system %}{% set turns = messages[1:] %}",
            "{% endif %}",
            opening,
            _thinking(template, options),
            "{% for message in turns %}",
            f"{{% if message['role'] == 'user' %}}{_write(question, asked)}",
            f"{{% elif message['role'] == 'assistant' %}}{header}{_answer(template, options)}",
            "{% else %}{{ raise_exception('this chat template knows system, user and assistant only, not '",
            " ~ message['role']) }}{% endif %}",
            "{% endfor %}",
            f"{{% if add_generation_prompt %}}{header}{_empty_before(template)}{{% endif %}}",
        )
    )


_MESSAGE = "message['content']"


def _thinking(template: Template, options: EncodeOptions) -> str:
    """Sets `thinks`: whether answers are to hold a thought, which the model then writes itself."""
    if template.reasoning == "none":
        return ""
    usual = str(bool(options.enable_thinking)).lower()
    return f"{{% set thinks = enable_thinking if enable_thinking is defined else {usual} %}}"


def _empty_before(template: Template) -> str:
    """What a prompt ends with where the model is not to think."""
    if template.reasoning == "none":
        return ""
    return f"{{% if not thinks %}}{{{{ {_quoted(template.empty_thought)} }}}}{{% endif %}}"


def _answer(template: Template, options: EncodeOptions) -> str:
    """An answer: without its thought where others follow it, else with an empty one where it has none."""
    written = _write(template.assistant, "answer")
    end = "{% if loop.last and not add_generation_prompt %}{{ eos_token or '' }}{% endif %}"
    ended = written + (end if template.efficient_eos else "")
    if template.reasoning == "none":
        return f"{{% set answer = {_MESSAGE} %}}{ended}"
    opening, closing = map(_quoted, template.thought_words)
    marks = (_quoted(word.strip()) for word in template.thought_words)
    lacks = " and ".join(f"{mark} not in answer" for mark in marks)
    stripped = f"(answer.split({opening})[0] + answer.split({closing})[-1])"
    history = "false" if options.preserve_thinking else "not loop.last"
    drop = f"{history} or (not thinks and loop.last)" if options.enable_thinking is False else history
    return "".join(
        (
            f"{{% set answer = {_MESSAGE} %}}",
            f"{{% if {drop} %}}{{% if {opening} in answer and {closing} in answer %}}",
            f"{{% set answer = {stripped} %}}{{% endif %}}",
            "{% set answer = answer.lstrip('\\n') %}{% endif %}",
            f"{{% if loop.last and {lacks} %}}{{{{ {_quoted(template.empty_thought)} }}}}{{% endif %}}",
            ended,
        )
    )


def _write(slot: Slot, content: str) -> str:
    """Jinja output statements for a slot; `content` is the expression that stands for {{content}}."""
    # One statement a part: a variable that is not defined renders as nothing, where adding it to a string would fail.
    return "".join(f"{{{{ {part} }}}}" for part in _parts(slot, content))


def _parts(slot: Slot, content: str) -> list[str]:
    parts = []
    for element in slot:
        if isinstance(element, Special):
            parts.append(f"{element.value}_token or ''")
            continue
        text = element.text if isinstance(element, Token) else element
        before, marker, after = text.partition(CONTENT)
        parts += [_quoted(before)] * bool(before) + [content] * bool(marker) + [_quoted(after)] * bool(after)
    return parts


def _without_end(slot: Slot, end: Slot) -> Slot:
    """The slot without the elements that it ends with, the first of which may be the end of an element."""
    if not end:
        return slot
    at = len(slot) - len(end)
    first: Element = slot[at]
    if slot[at + 1 :] == end[1:]:
        if first == end[0]:
            return slot[:at]
        if isinstance(first, str) and isinstance(end[0], str) and first.endswith(end[0]):
            return (*slot[:at], first.removesuffix(end[0]))
    raise ValueError(f"the user slot does not end with the generation prompt {end!r}")


def _quoted(text: str) -> str:
    # Jinja reads backslash escapes as Python does; braces need none inside a string.
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r") + "'"
