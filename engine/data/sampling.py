"""Rows as the model sees them: token by token, with what is learnt, long stretches cut in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

IGNORE = -100
TOKENS = 40  # shown of one stretch
STRETCHES = 12  # shown of one row

Pieces = tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens in a row that are all learnt, or all only read. `left_out` tokens between `head` and `tail` are not here.

    A token is (id, text); bytes that are no character by themselves are written \\xhh. The text is not safe to print.
    """

    learnt: bool
    head: Pieces
    left_out: int = 0
    tail: Pieces = ()


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One row; `number` counts from 1. `left_out` stretches before the last ones are not here."""

    number: int
    tokens: int
    labelled: int
    stretches: tuple[Stretch, ...]
    left_out: int = 0  # stretches
    left_out_after: int = 0  # how many of `stretches` stand in front of the gap

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> SampleRow:
        """Inverse of `as_dict`."""
        stretches = (
            Stretch(**{**one, "head": _pieces(one["head"]), "tail": _pieces(one["tail"])}) for one in raw["stretches"]
        )
        return cls(**{**raw, "stretches": tuple(stretches)})


class TokenTexts:
    """The text of single tokens, as a person can tell them apart."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self._known: dict[int, str] = {}

    def __call__(self, token: int) -> str:
        """With its leading space, which decoding alone would drop for some tokenizers."""
        if token not in self._known:
            self._known[token] = self._text(token)
        return self._known[token]

    def _text(self, token: int) -> str:
        piece = self._tokenizer.convert_ids_to_tokens(token)
        if piece is None:
            return f"<no token {token}>"
        if token in self._tokenizer.added_tokens_decoder:
            return str(piece)
        if piece.startswith("▁"):
            return str(piece).replace("▁", " ")
        text = str(self._tokenizer.decode([token], clean_up_tokenization_spaces=False))
        if "\ufffd" in text or not text:
            return _bytes_of(piece)
        return text


def sample_row(
    number: int, input_ids: npt.NDArray[np.int32], labels: npt.NDArray[np.int32], texts: TokenTexts
) -> SampleRow:
    """The row of these ids and labels, each [tokens], as it is shown."""
    learnt = labels != IGNORE
    edges = [0, *(np.flatnonzero(learnt[1:] != learnt[:-1]) + 1).tolist(), len(labels)]
    spans = [(start, end) for start, end in pairwise(edges) if end > start]
    shown, gap = spans, 0
    if len(spans) > STRETCHES:
        gap = STRETCHES // 2
        shown = [*spans[:gap], *spans[-gap:]]
    stretches = tuple(_stretch(bool(learnt[start]), input_ids[start:end].tolist(), texts) for start, end in shown)
    return SampleRow(number, len(labels), int(learnt.sum()), stretches, len(spans) - len(shown), gap)


def _stretch(learnt: bool, ids: Sequence[int], texts: TokenTexts) -> Stretch:
    def pieces(part: Sequence[int]) -> Pieces:
        return tuple((token, texts(token)) for token in part)

    if len(ids) <= TOKENS:
        return Stretch(learnt, pieces(ids))
    half = TOKENS // 2
    return Stretch(learnt, pieces(ids[:half]), len(ids) - 2 * half, pieces(ids[-half:]))


def _pieces(raw: Sequence[Sequence[Any]]) -> Pieces:
    return tuple((int(token), str(text)) for token, text in raw)


def _bytes_of(piece: str) -> str:
    """A byte-level token as its bytes; anything else as the vocabulary writes it."""
    table = _byte_letters()
    if not all(letter in table for letter in piece):
        return piece
    return "".join(f"\\x{table[letter]:02x}" for letter in piece)


@cache
def _byte_letters() -> dict[str, int]:
    """GPT-2's letters for bytes: printable Latin-1 stands for itself, all other bytes for U+0100 onwards, in order."""
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(itself)]
    return {chr(byte): byte for byte in itself} | {chr(0x100 + number): byte for number, byte in enumerate(others)}
