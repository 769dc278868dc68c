"""What a template asks of the tokenizer: its end, padding and stop tokens, and tokens to be added."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from engine.data.template_files import AUTO, load_template, shipped
from engine.data.template_slots import Template, Token
from engine.data.token_ids import encode_texts
from engine.errors import ConfigError, Problem

_USUAL_EOS = "<|endoftext|>"  # what LLaMA-Factory gives a tokenizer without an end-of-text token


def prepare_tokenizer(
    tokenizer: Any,
    template: Template | None,
    *,
    resize_vocab: bool = False,
    add_tokens: Sequence[str] = (),
    add_special_tokens: Sequence[str] = (),
) -> list[Problem]:
    """Give the tokenizer the end-of-text, padding and stop tokens that the template needs, as LLaMA-Factory does.

    `add_tokens` and then `add_special_tokens` join the vocabulary first, where it lacks them. Only with `resize_vocab`
    is anything else added to it, which the model's embedding must follow (the note tokens_added says how many).
    Otherwise, where the template needs a token that is not there: ConfigError template_needs_new_tokens, or
    tokenizer_without_eos where no end token is known. Returns notes on what changed.
    """
    size = len(tokenizer)
    if add_tokens:
        tokenizer.add_tokens(list(add_tokens), special_tokens=False)
    if add_special_tokens:
        tokenizer.add_tokens(list(add_special_tokens), special_tokens=True)
    notes = []
    if template is not None:
        _check_vocabulary(tokenizer, template, resize_vocab)
        if template.replace_eos and tokenizer.eos_token != template.stop_words[0]:
            params = {"template": template.name, "old": str(tokenizer.eos_token), "new": template.stop_words[0]}
            notes.append(Problem("eos_replaced", params, severity="note"))
            tokenizer.add_special_tokens({"eos_token": template.stop_words[0]})
    notes += _set_end_and_padding(tokenizer, resize_vocab)
    if template is not None:
        _set_stop_words(tokenizer, template, resize_vocab)
        notes += _overridden(template)
    if len(tokenizer) > size:
        added = [tokenizer.convert_ids_to_tokens(number) for number in range(size, len(tokenizer))]
        notes.append(Problem("tokens_added", {"count": len(added), "tokens": added}, severity="note"))
    return notes


def read_new_special_tokens(file: Path) -> dict[str, str]:
    """The tokens of a new_special_tokens_config with their descriptions, in its order.

    Raises ConfigError special_tokens_file.
    """
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(_bad_file(file, str(error))) from error
    if not isinstance(raw, dict) or not raw:
        raise ConfigError(_bad_file(file, "it does not map tokens to descriptions"))
    return {str(token): str(description) for token, description in raw.items()}


def stop_token_ids(tokenizer: Any, template: Template | None) -> list[int]:
    """Ids that end an answer, ascending: the end-of-text token, the template's stop words that the tokenizer knows.

    For `auto` the token that the tokenizer's chat template writes right after an answer, if it is a special one.
    """
    stops = {tokenizer.eos_token_id} - {None}
    if template is not None:
        vocabulary = tokenizer.get_vocab()
        stops |= {vocabulary[word] for word in template.stop_words if word in vocabulary}
    elif tokenizer.chat_template:
        mark = "Paris"
        messages = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": mark}]
        tail = tokenizer.apply_chat_template(messages, tokenize=False).rpartition(mark)[2]
        after = encode_texts(tokenizer, [tail])[0] if tail else []
        if after and after[0] in tokenizer.added_tokens_decoder:
            stops.add(after[0])
    return sorted(stops)


def _check_vocabulary(tokenizer: Any, template: Template, resize_vocab: bool) -> None:
    """Raise ConfigError where a token is missing that the template writes."""
    vocabulary = tokenizer.get_vocab()
    markers = _missing_markers(template, vocabulary)
    if resize_vocab:  # stop words will be added; on others LLaMA-Factory fails
        markers = [marker for marker in markers if marker not in template.stop_words]
    if markers:
        params = {"template": template.name, "tokens": markers, "list": ",".join(markers)}
        raise ConfigError(Problem("template_needs_markers", params, key="template"))
    missing = [] if resize_vocab else [word for word in _needed(template) if word not in vocabulary]
    if missing:
        usable = [AUTO, *(name for name in shipped() if _works_with(name, vocabulary))]
        params = {"template": template.name, "tokens": missing, "usable": usable}
        raise ConfigError(Problem("template_needs_new_tokens", params, key="template"))


def _missing_markers(template: Template, vocabulary: dict[str, int]) -> list[str]:
    markers = dict.fromkeys(element.text for element in template.slots() if isinstance(element, Token))
    return [marker for marker in markers if marker not in vocabulary]


def _needed(template: Template) -> list[str]:
    """Stop words that must be there: those that the template writes, and the one that becomes its end of text."""
    written = "".join(element for element in template.slots() if isinstance(element, str))
    first = template.stop_words[:1] if template.replace_eos else ()
    return [word for word in template.stop_words if word in written or word in first]


def _works_with(name: str, vocabulary: dict[str, int]) -> bool:
    template = load_template(name)
    assert template is not None
    return not _missing_markers(template, vocabulary) and vocabulary.keys() >= set(template.stop_words)


def _set_end_and_padding(tokenizer: Any, resize_vocab: bool) -> list[Problem]:
    notes = []
    if tokenizer.eos_token_id is None:
        if not resize_vocab and _USUAL_EOS not in tokenizer.get_vocab():
            raise ConfigError(Problem("tokenizer_without_eos", {"shipped": list(shipped())}, key="template"))
        tokenizer.add_special_tokens({"eos_token": _USUAL_EOS})
        notes.append(Problem("eos_set", {"token": _USUAL_EOS}, severity="note"))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
        notes.append(Problem("pad_is_eos", {"token": str(tokenizer.eos_token)}, severity="note"))
    return notes


def _set_stop_words(tokenizer: Any, template: Template, resize_vocab: bool) -> None:
    """Make the stop words special; missing ones that are never written are left out unless the vocabulary grows."""
    rest = template.stop_words[1:] if template.replace_eos else template.stop_words
    vocabulary = tokenizer.get_vocab()
    words = [word for word in rest if (resize_vocab or word in vocabulary) and word != tokenizer.eos_token]
    if words:
        tokenizer.add_special_tokens({"extra_special_tokens": words}, replace_extra_special_tokens=False)


def _overridden(template: Template) -> list[Problem]:
    """A warning where another tool dialect makes calls end otherwise than answers do."""
    if template.tool_format is None or template.function == template.assistant:
        return []
    params = {"template": template.name, "tool_format": template.tool_format}
    return [Problem("tool_format_end", params, key="tool_format", severity="warning")]


def _bad_file(file: Path, reason: str) -> Problem:
    return Problem("special_tokens_file", {"file": file.name, "reason": reason}, "new_special_tokens_config", str(file))
