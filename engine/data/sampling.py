"""Rows as the model sees them: token by token, with what is learnt, long stretches cut in the middle."""

from __future__ import annotations

import re
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
LONGEST = 4  # tokens that make up one character

_BYTE = re.compile("<0x([0-9A-F]{2})>")

Pieces = tuple[tuple[tuple[int, ...], str], ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens in a row that are all learnt, or all only read. `left_out` tokens between `head` and `tail` are not here.

    A piece is (ids, text): one token, or the few that are one character together. Bytes that are no character are
    written as 0x and two digits each. The text is not safe to print.
    """

    learnt: bool
    head: Pieces
    left_out: int = 0
    tail: Pieces = ()


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One of `rows`; `number` counts from 1. `left_out` stretches before the last ones are not here."""

    number: int
    rows: int
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
        self._known: dict[int, str | bytes] = {}

    def __call__(self, token: int) -> str:
        """With its leading space, which decoding alone would drop for some tokenizers."""
        found = self._look_up(token)
        return found if isinstance(found, str) else f"0x{found.hex()}"

    def pieces(self, ids: Sequence[int]) -> Pieces:
        """One piece a token; tokens that only together are a character are one piece."""
        found: list[tuple[tuple[int, ...], str]] = []
        start = 0
        while start < len(ids):
            ends = range(start + 1, min(start + LONGEST, len(ids)) + 1)
            end = next((end for end in ends if self._joined(ids[start:end]) is not None), start + 1)
            found.append((tuple(ids[start:end]), self._joined(ids[start:end]) or self(ids[start])))
            start = end
        return tuple(found)

    def _joined(self, ids: Sequence[int]) -> str | None:
        """The text of one token, or of several that are bytes; None where these are no characters."""
        parts = [self._look_up(token) for token in ids]
        if len(parts) == 1 and isinstance(parts[0], str):
            return parts[0]
        raw = [part for part in parts if isinstance(part, bytes)]
        return _whole(b"".join(raw)) if len(raw) == len(parts) else None

    def _look_up(self, token: int) -> str | bytes:
        if token not in self._known:
            self._known[token] = self._text(token)
        return self._known[token]

    def _text(self, token: int) -> str | bytes:
        """Bytes where the token is a part of a character."""
        piece = self._tokenizer.convert_ids_to_tokens(token)
        if piece is None:
            return f"<no token {token}>"
        if token in self._tokenizer.added_tokens_decoder:
            return str(piece)
        if byte := _BYTE.fullmatch(piece):  # SentencePiece's way to write one
            return bytes.fromhex(byte[1])
        if piece.startswith("▁"):
            return str(piece).replace("▁", " ")
        text = str(self._tokenizer.decode([token], clean_up_tokenization_spaces=False))
        if text and "\ufffd" not in text:
            return text
        letters = _byte_letters()
        return bytes(map(letters.__getitem__, piece)) if letters.keys() >= set(piece) else str(piece)


def sample_row(
    number: int,
    rows: int,
    input_ids: npt.NDArray[np.int32],
    labels: npt.NDArray[np.int32],
    texts: TokenTexts,
    *,
    tokens: int = TOKENS,
    stretches: int = STRETCHES,
) -> SampleRow:
    """The row of these ids and labels, each [tokens], as it is shown: so many stretches of so many tokens at most."""
    learnt = labels != IGNORE
    edges = [0, *(np.flatnonzero(learnt[1:] != learnt[:-1]) + 1).tolist(), len(labels)]
    spans = [(start, end) for start, end in pairwise(edges) if end > start]
    shown, gap = spans, 0
    if len(spans) > stretches:
        gap = stretches // 2
        shown = [*spans[:gap], *spans[-gap:]]
    parts = tuple(_stretch(bool(learnt[start]), input_ids[start:end].tolist(), texts, tokens) for start, end in shown)
    return SampleRow(number, rows, len(labels), int(learnt.sum()), parts, len(spans) - len(shown), gap)


def _stretch(learnt: bool, ids: Sequence[int], texts: TokenTexts, tokens: int) -> Stretch:
    if len(ids) <= tokens:
        return Stretch(learnt, texts.pieces(ids))
    half = tokens // 2
    return Stretch(learnt, texts.pieces(ids[:half]), len(ids) - 2 * half, texts.pieces(ids[-half:]))


def _pieces(raw: Sequence[Sequence[Any]]) -> Pieces:
    return tuple((tuple(ids), str(text)) for ids, text in raw)


def _whole(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


@cache
def _byte_letters() -> dict[str, int]:
    """GPT-2's letters for bytes: printable Latin-1 stands for itself, all other bytes for U+0100 onwards, in order."""
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(itself)]
    return {chr(byte): byte for byte in itself} | {chr(0x100 + number): byte for number, byte in enumerate(others)}
