"""Texts and template elements to token ids, many of them with one call of the tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from engine.data.template_slots import Element, Special, Token

WORDS = 100_000  # kept in the tokenizer's cache: some 10 MB
_PLAIN = {
    "add_special_tokens": False,
    "return_attention_mask": False,
    "return_token_type_ids": False,
    "verbose": False,  # no word about lengths: truncation comes later
}


def encode_texts(tokenizer: Any, texts: list[str], *, split_special: bool = False) -> list[list[int]]:
    """Token ids of each text, without special tokens of the tokenizer's own.

    With `split_special`, text that looks like a special token is tokenised like any other.
    """
    if not texts:
        return []
    if tokenizer.is_fast:
        return _encode_fast(tokenizer.backend_tokenizer, texts, split_special or tokenizer.split_special_tokens)
    split = {"split_special_tokens": True} if split_special else {}
    ids: list[list[int]] = tokenizer(texts, **_PLAIN, **split)["input_ids"]
    return ids


def _encode_fast(backend: Any, texts: list[str], split_special: bool) -> list[list[int]]:
    """The ids alone, straight from the tokenizer in Rust: transformers asks it for offsets and copies much more."""
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = split_special
    return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]


def remember_words(tokenizer: Any) -> None:
    """Let a fast tokenizer keep more words than its 10,000: for many rows. Changes its speed and nothing else."""
    from tokenizers.models import BPE, Unigram

    if tokenizer.is_fast and isinstance(tokenizer.backend_tokenizer.model, BPE | Unigram):
        tokenizer.backend_tokenizer.model._resize_cache(WORDS)


def encode_turns(tokenizer: Any, turns: Sequence[Sequence[Element]], *, split_special: bool = False) -> list[list[int]]:
    """Token ids of each turn, element by element without special tokens of the tokenizer's own; one batch call."""
    elements = dict.fromkeys(element for turn in turns for element in turn)
    texts = [element for element in elements if isinstance(element, str) and element]
    encoded = encode_texts(tokenizer, texts, split_special=split_special)
    ids: dict[Element, list[int]] = dict(zip(texts, encoded, strict=True))
    for element in elements.keys() - ids.keys():
        ids[element] = _one(tokenizer, element)
    return [ids[turn[0]] if len(turn) == 1 else [*chain.from_iterable(ids[one] for one in turn)] for turn in turns]


def encode_with_starts(
    tokenizer: Any, texts: list[str], *, split_special: bool = False
) -> Iterator[tuple[list[int], list[int]]]:
    """`encode_texts` with the character in the text at which each token starts. Needs a fast tokenizer."""
    if texts:
        split = {"split_special_tokens": True} if split_special else {}
        encoded = tokenizer(texts, return_offsets_mapping=True, **_PLAIN, **split)
        for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            yield ids, [start for start, _ in offsets]


def element_text(tokenizer: Any, element: Element) -> str:
    """The element as text; empty for a token that the tokenizer does not name."""
    if isinstance(element, str):
        return element
    if isinstance(element, Token):
        return element.text
    return (tokenizer.bos_token if element is Special.BOS else tokenizer.eos_token) or ""


def _one(tokenizer: Any, element: Element) -> list[int]:
    if isinstance(element, Token):
        return [tokenizer.convert_tokens_to_ids(element.text)]
    if isinstance(element, Special):
        number = tokenizer.bos_token_id if element is Special.BOS else tokenizer.eos_token_id
        return [] if number is None else [number]
    return []
