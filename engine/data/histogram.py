"""How long rows are: percentiles, limits that are passed, and bars of a round width."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # screens that show lengths need no numpy, which takes its time
    import numpy as np
    import numpy.typing as npt

MARKS = (512, 1024, 2048)  # lengths that people set cutoff_len to
BARS = 10  # about so many


@dataclass(frozen=True, slots=True)
class Bar:
    """`rows` of `low` to `high` tokens, both included."""

    low: int
    high: int
    rows: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of rows in tokens; percentiles are lengths that occur (nearest rank).

    `over`: how many rows are longer than each of these.
    """

    least: int
    median: int
    p90: int
    p99: int
    most: int
    over: dict[int, int]
    bars: tuple[Bar, ...]

    @classmethod
    def of(cls, lengths: npt.NDArray[np.int64], marks: tuple[int, ...] = MARKS) -> Lengths | None:
        """Of `lengths` [rows]; None where there are none."""
        if not len(lengths):
            return None
        import numpy as np

        ordered = np.sort(lengths)
        median, p90, p99 = (int(ordered[max(0, -(-len(ordered) * share // 100) - 1)]) for share in (50, 90, 99))
        over = {mark: int((ordered > mark).sum()) for mark in sorted(set(marks))}
        return cls(int(ordered[0]), median, p90, p99, int(ordered[-1]), over, _bars(ordered, p99))

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**asdict(self), "bars": [asdict(bar) for bar in self.bars]}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Lengths:
        """Inverse of `as_dict`."""
        over = {int(mark): rows for mark, rows in raw["over"].items()}
        return cls(**{**raw, "over": over, "bars": tuple(Bar(**bar) for bar in raw["bars"])})


def _bars(ordered: npt.NDArray[np.int64], p99: int) -> tuple[Bar, ...]:
    """Bars of equal width up to the 99th percentile; the last one holds the few that are far longer, too."""
    import numpy as np

    least, most = int(ordered[0]), int(ordered[-1])
    width = _round_width((p99 - least + 1) / BARS)
    start = least // width * width
    count = (p99 - start) // width + 1
    lows = [max(start + number * width, 1) for number in range(count)]
    highs = [*(start + (number + 1) * width - 1 for number in range(count - 1)), max(most, start + count * width - 1)]
    at_most = np.searchsorted(ordered, highs, side="right")
    rows = np.diff(at_most, prepend=0)
    return tuple(Bar(low, high, int(found)) for low, high, found in zip(lows, highs, rows, strict=True))


def _round_width(width: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50 …"""
    unit = 1
    while True:
        for step in (1, 2, 5):
            if step * unit >= width:
                return step * unit
        unit *= 10
