"""Several datasets into one list: one after another, or interleaved in the order in which `datasets` does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np

from engine.errors import ConfigError, Problem

Item = TypeVar("Item")
Strategy = Literal["concat", "interleave_under", "interleave_over", "interleave_once"]

_BLOCK = 1000  # how many draws `datasets` asks of the random generator at a time: part of the order


def mix(
    lists: Sequence[Sequence[Item]], strategy: Strategy, probs: Sequence[float] | None = None, seed: int = 42
) -> list[Item]:
    """All lists as one.

    interleave_under stops when the first list is used up; interleave_over goes on, starting lists again, until every
    one has been used up; interleave_once takes every item exactly once. With `probs` the next list is drawn with these
    chances, else they take turns. No list may be empty. Raises ConfigError where `probs` do not fit the lists.
    """
    if len(lists) == 1 or strategy == "concat":
        return [item for items in lists for item in items]
    lengths = [len(items) for items in lists]
    chances = None if probs is None else _checked(probs, len(lists))
    if chances is None:
        order = _turns(lengths, strategy)
    else:
        if strategy != "interleave_under" and not chances.all():
            raise ConfigError(Problem("probs_zero", {"strategy": strategy}, "interleave_probs"))
        order = _draws(lengths, strategy, chances, seed)
    return [lists[which][place] for which, place in order]


def _checked(probs: Sequence[float], count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    chances = np.asarray(probs, dtype=np.float64)
    if len(chances) != count:
        raise ConfigError(Problem("probs_count", {"given": len(chances), "sets": count}, "interleave_probs"))
    if (chances < 0).any() or not np.isclose(chances.sum(), 1.0, rtol=0, atol=1e-8):
        raise ConfigError(Problem("probs_sum", {"sum": f"{chances.sum():g}"}, "interleave_probs"))
    return chances


def _turns(lengths: list[int], strategy: Strategy) -> list[tuple[int, int]]:
    rounds = min(lengths) if strategy == "interleave_under" else max(lengths)
    once = strategy == "interleave_once"
    return [
        (which, place % length)
        for place in range(rounds)
        for which, length in enumerate(lengths)
        if not once or place < length
    ]


def _draws(
    lengths: list[int], strategy: Strategy, chances: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int
) -> list[tuple[int, int]]:
    generator = np.random.default_rng(seed)
    next_of = [0] * len(lengths)
    open_ = {which for which in range(len(lengths)) if chances[which] > 0}
    order: list[tuple[int, int]] = []
    while True:
        for which in generator.choice(len(lengths), size=_BLOCK, p=chances).tolist():
            if strategy != "interleave_once" or which in open_:
                order.append((which, next_of[which] % lengths[which]))
                next_of[which] += 1
                if next_of[which] >= lengths[which]:
                    open_.discard(which)
                    if strategy == "interleave_under":
                        return order
            if not open_:
                return order
