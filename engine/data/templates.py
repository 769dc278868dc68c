"""Named chat templates: what stands around each turn, and what that asks of the tokenizer.

A template is a file in `templates/chat`. `None` stands for `auto` everywhere: the chat template that the tokenizer
carries. Elements follow LLaMA-Factory: each one is tokenised on its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from engine.data.conversation import Conversation
from engine.errors import ConfigError, Problem

AUTO = "auto"
CONTENT = "{{content}}"
_AMBIGUOUS = {"llama": ("llama2", "llama3"), "chatglm": ("chatglm3", "glm4")}
_USUAL_EOS = "<|endoftext|>"  # what LLaMA-Factory gives a tokenizer without an end-of-text token


class Special(Enum):
    """A token that the tokenizer names: left out where it has none."""

    BOS = "bos"
    EOS = "eos"


_PLAIN = {
    "add_special_tokens": False,
    "return_attention_mask": False,
    "return_token_type_ids": False,
    "verbose": False,  # no word about lengths: truncation comes later
}

Element = str | Special
Slot = tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """The slots of one chat template. `user` ends with `generation_prompt`, the header of the answer to come."""

    name: str
    description: str
    prefix: Slot
    system: Slot
    user: Slot
    assistant: Slot
    generation_prompt: str
    default_system: str = ""
    stop_words: tuple[str, ...] = ()
    replace_eos: bool = False
    efficient_eos: bool = False

    def turns(self, conversation: Conversation) -> list[list[Element]]:
        """The elements of each turn; prefix and system prompt open the first one.

        Only user and assistant turns; an empty system prompt means the template's default one, as in LLaMA-Factory.
        """
        system = conversation.system or self.default_system
        opening = [*self.prefix, *(_fill(self.system, system) if system else ())]
        turns = [
            _fill(self.user if turn.role == "user" else self.assistant, turn.content) for turn in conversation.turns
        ]
        if turns:
            turns[0] = opening + turns[0]
        return turns


def shipped() -> tuple[str, ...]:
    """Names that `load_template` knows, in alphabetical order; `auto` is not among them."""
    return tuple(sorted(entry.name[:-5] for entry in _folder().iterdir() if entry.name.endswith(".yaml")))


def load_template(
    name: str | None, *, default_system: str | None = None, tool_format: str | None = None
) -> Template | None:
    """The template of that name; None for None and `auto`.

    Raises ConfigError: template_ambiguous (`llama`), template_not_shipped (LLaMA-Factory has it, this tool does not
    yet), unknown_template.
    """
    if name is None or name == AUTO:
        return None
    names = shipped()
    if name not in names:
        raise ConfigError(_unknown(name, names))
    template = _load(name)
    return template if default_system is None else replace(template, default_system=default_system)


def template_sha256(name: str | None) -> str | None:
    """Hex digest of a named template's file, for the record of a run; None for the tokenizer's own."""
    if name is None or name == AUTO:
        return None
    return hashlib.sha256((_folder() / f"{name}.yaml").read_bytes()).hexdigest()


def render_text(tokenizer: Any, template: Template, conversation: Conversation) -> str:
    """The conversation as one string; after a question it ends with the header of the answer."""
    elements = (element for turn in template.turns(conversation) for element in turn)
    return "".join(_text(tokenizer, element) for element in elements)


def encode_turns(tokenizer: Any, turns: Sequence[Sequence[Element]]) -> list[list[int]]:
    """Token ids of each turn, element by element without special tokens of the tokenizer's own; one batch call."""
    texts = list(dict.fromkeys(element for turn in turns for element in turn if isinstance(element, str) and element))
    ids: dict[Element, list[int]] = dict(zip(texts, encode_texts(tokenizer, texts), strict=True))
    ids[""] = []
    ids[Special.BOS] = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    ids[Special.EOS] = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return [[token for element in turn for token in ids[element]] for turn in turns]


def encode_texts(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Token ids of each text, without special tokens of the tokenizer's own."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(texts, **_PLAIN)["input_ids"]
    return ids


def encode_with_starts(tokenizer: Any, texts: list[str]) -> Iterator[tuple[list[int], list[int]]]:
    """`encode_texts` with the character in the text at which each token starts. Needs a fast tokenizer."""
    if texts:
        encoded = tokenizer(texts, return_offsets_mapping=True, **_PLAIN)
        for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            yield ids, [start for start, _ in offsets]


def prepare_tokenizer(tokenizer: Any, template: Template | None) -> list[Problem]:
    """Give the tokenizer the end-of-text and padding tokens that the template needs, as LLaMA-Factory does.

    Returns notes on what changed. Nothing is ever added to the vocabulary: where the template needs a token that is
    not there, ConfigError template_needs_new_tokens. ConfigError tokenizer_without_eos where no end token is known.
    """
    notes = []
    vocabulary = tokenizer.get_vocab()
    if template is not None:
        notes += _set_stop_words(tokenizer, template, vocabulary)
    if tokenizer.eos_token_id is None:
        if _USUAL_EOS not in vocabulary:
            raise ConfigError(Problem("tokenizer_without_eos", {"shipped": list(shipped())}, key="template"))
        tokenizer.add_special_tokens({"eos_token": _USUAL_EOS})
        notes.append(Problem("eos_set", {"token": _USUAL_EOS}, severity="note"))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
        notes.append(Problem("pad_is_eos", {"token": str(tokenizer.eos_token)}, severity="note"))
    return notes


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


def _set_stop_words(tokenizer: Any, template: Template, vocabulary: dict[str, int]) -> list[Problem]:
    notes = []
    slots = (*template.prefix, *template.system, *template.user, *template.assistant)
    written = "".join(element for element in slots if isinstance(element, str))
    known = [word for word in template.stop_words if word in vocabulary]
    # A stop word that the template never writes may be missing: LLaMA-Factory would add it, and never use it.
    missing = [word for word in template.stop_words if word not in vocabulary and word in written]
    if missing:
        others = [AUTO, *(name for name in shipped() if not set(_load(name).stop_words) - vocabulary.keys())]
        params = {"template": template.name, "tokens": missing, "usable": others}
        raise ConfigError(Problem("template_needs_new_tokens", params, key="template"))
    if template.replace_eos and tokenizer.eos_token != known[0]:
        params = {"template": template.name, "old": str(tokenizer.eos_token), "new": known[0]}
        notes.append(Problem("eos_replaced", params, severity="note"))
        tokenizer.add_special_tokens({"eos_token": known[0]})
    rest = [word for word in known if word != tokenizer.eos_token]
    if rest:
        tokenizer.add_special_tokens({"extra_special_tokens": rest}, replace_extra_special_tokens=False)
    return notes


def _unknown(name: str, names: tuple[str, ...]) -> Problem:
    lowered = name.lower()
    if lowered in _AMBIGUOUS:
        params = {"template": name, "candidates": " or ".join(_AMBIGUOUS[lowered]), "shipped": [AUTO, *names]}
        return Problem("template_ambiguous", params, key="template")
    elsewhere = _llamafactory_names()
    if name in elsewhere:
        return Problem("template_not_shipped", {"template": name, "shipped": list(names)}, key="template")
    nearest = get_close_matches(lowered, [AUTO, *names, *sorted(elsewhere - set(names))], n=3)
    params = {"template": name, "nearest": nearest, "shipped": [AUTO, *names]}
    return Problem("unknown_template_near" if nearest else "unknown_template", params, key="template")


def _fill(slot: Slot, content: str) -> list[Element]:
    return [element.replace(CONTENT, content, 1) if isinstance(element, str) else element for element in slot]


def _text(tokenizer: Any, element: Element) -> str:
    if isinstance(element, str):
        return element
    return (tokenizer.bos_token if element is Special.BOS else tokenizer.eos_token) or ""


def _folder() -> Any:
    return files("templates") / "chat"


@cache
def _llamafactory_names() -> frozenset[str]:
    lines = (_folder() / "llamafactory_names.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(name for line in lines if not line.startswith("#") for name in line.split())


@cache
def _load(name: str) -> Template:
    raw = yaml.safe_load((_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
    return Template(
        name=name,
        description=raw["description"],
        prefix=_slot(raw["prefix"]),
        system=_slot(raw["system"]),
        user=_slot(raw["user"]),
        assistant=_slot(raw["assistant"]),
        generation_prompt=raw["generation_prompt"],
        default_system=raw["default_system"],
        stop_words=tuple(raw["stop_words"]),
        replace_eos=raw["replace_eos"],
    )


def _slot(items: list[str | dict[str, str]]) -> Slot:
    return tuple(item if isinstance(item, str) else Special(item["special"]) for item in items)
