"""Which rows of a dataset are used: `split` with slices, and `num_samples` drawn as LLaMA-Factory draws them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np

Item = TypeVar("Item")

_PART = re.compile(
    r"train(?:\[(?:(?P<start>-?\d[\d_]*)(?P<start_pct>%)?)?:(?:(?P<stop>-?\d[\d_]*)(?P<stop_pct>%)?)?\])?"
    r"(?:\((?P<rounding>closest|pct1_dropremainder)\))?"
)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a set's rows: from `start` to `stop`, negative from the end, None at the end itself.

    With `percent` they are hundredths of the rows, rounded; with `whole_percents` a hundredth is a whole number of
    rows and the remainder is left out.
    """

    start: int | None = None
    stop: int | None = None
    percent: bool = False
    whole_percents: bool = False

    def bounds(self, rows: int) -> tuple[int, int]:
        """First and one past the last row, of `rows` rows. Raises ValueError for whole percents of under 100 rows."""
        return self._place(self.start, 0, rows), self._place(self.stop, rows, rows)

    def _place(self, given: int | None, default: int, rows: int) -> int:
        if given is None:
            return default
        if not self.percent:
            place = given
        elif self.whole_percents:
            if rows < 100:
                raise ValueError
            place = given * (rows // 100)
        else:
            place = round(given * rows / 100.0)
        return min(max(rows + place, 0) if place < 0 else place, rows)


TRAIN = (Slice(),)


def parse_split(spec: str) -> tuple[Slice, ...] | None:
    """The slices of a `split` such as `train[:10%]+train[-5:]`, as `datasets` reads it; None where it is none.

    Files have one split only, train.
    """
    slices = []
    for text in re.split(r"\s*\+\s*", spec):
        part = _PART.fullmatch(text)
        if part is None:
            return None
        percent = bool(part["start_pct"] or part["stop_pct"])
        if part["rounding"] and not percent:
            return None
        if percent and any(part[end] and abs(int(part[end])) > 100 for end in ("start", "stop")):
            return None
        start, stop = (int(part[end]) if part[end] else None for end in ("start", "stop"))
        slices.append(Slice(start, stop, percent, part["rounding"] == "pct1_dropremainder"))
    return tuple(slices)


def sliced(items: Sequence[Item], slices: Sequence[Slice]) -> list[Item]:
    """The rows of all slices, one slice after another. Raises ValueError as `Slice.bounds` does."""
    taken: list[Item] = []
    for part in slices:
        start, stop = part.bounds(len(items))
        taken += items[start:stop]
    return taken


def drawn(items: Sequence[Item], count: int, draw: np.random.RandomState) -> list[Item]:
    """`count` rows at random: each at most once where there are enough, else all of them and random ones again."""
    order = draw.permutation(len(items))[:count]
    chosen = [items[place] for place in order]
    if count > len(items):
        chosen += [items[place] for place in draw.choice(len(items), count - len(items))]
    return chosen
