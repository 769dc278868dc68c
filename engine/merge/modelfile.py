"""The Modelfile that lets Ollama create a model from the folder: prompt format as a Go template, stop tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.data.templates import CONTENT, Element, Template, element_text, stop_token_ids

CONTEXT = 4096
_HEAD = "# Ollama Modelfile written by sft-wizard: ollama create NAME -f Modelfile\n\nFROM .\n\n"
_NO_TEMPLATE = (
    "# TEMPLATE is left out: Ollama recognises the chat templates of common models by itself. For any other, write it\n"
    "# here after chat_template.jinja.\n\n"
)


def modelfile(tokenizer: Any, template: Template | None) -> str:
    """Text of a Modelfile. `template` None stands for the chat template that the tokenizer carries."""
    parts = [_HEAD, f'TEMPLATE """{go_template(tokenizer, template)}"""\n\n' if template else _NO_TEMPLATE]
    if template and template.default_system:
        parts.append(f'SYSTEM """{template.default_system}"""\n\n')
    parts += [f'PARAMETER stop "{_quoted(token)}"\n' for token in stop_tokens(tokenizer, template)]
    parts.append(f"PARAMETER num_ctx {CONTEXT}\n")
    return "".join(parts)


def stop_tokens(tokenizer: Any, template: Template | None) -> list[str]:
    """The tokens that end an answer: end of text first, then in the template's order."""
    known = tokenizer.get_vocab()
    if template is None:
        ids = stop_token_ids(tokenizer, None)
        words = [str(tokenizer.convert_ids_to_tokens(token)) for token in ids]
    else:
        words = [word for word in template.stop_words if word in known]
    first = [] if tokenizer.eos_token_id is None else [str(tokenizer.convert_ids_to_tokens(tokenizer.eos_token_id))]
    return list(dict.fromkeys([*first, *words]))


def go_template(tokenizer: Any, template: Template) -> str:
    """System, user and assistant turns in Go's template language, without tools.

    Templates that put the system prompt into the first question get it there: LLaMA-Factory writes it before.
    """
    prefix = _write(tokenizer, template.prefix, "")
    system = _write(tokenizer, template.system, "{{ .System }}")
    user = _write(tokenizer, template.user, "{{ .Content }}")
    assistant = _write(tokenizer, template.assistant, "{{ .Content }}")
    opening = f"{{{{ if .System }}}}{system}{{{{ end }}}}"
    if template.fuse_system:
        once = _write(tokenizer, template.system, "{{ $system }}")
        first = f'{{{{ if $system }}}}{once}{{{{ $system = "" }}}}{{{{ end }}}}{{{{ .Content }}}}'
        user = _write(tokenizer, template.user, first)
        opening = "{{ $system := .System }}"
    return (
        f'{prefix}{opening}{{{{ range .Messages }}}}{{{{ if eq .Role "user" }}}}{user}'
        f'{{{{ else if eq .Role "assistant" }}}}{assistant}{{{{ end }}}}{{{{ end }}}}'
    )


def _write(tokenizer: Any, slot: Iterable[Element], content: str) -> str:
    return "".join(element_text(tokenizer, element).replace(CONTENT, content, 1) for element in slot)


def _quoted(token: str) -> str:
    return token.replace("\\", "\\\\").replace('"', '\\"')
