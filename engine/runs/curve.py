"""A long series of figures in a bounded number of points, kept as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

MOST = 2048  # points: more than a chart has columns, few enough to be drawn within a key press

Point = tuple[int, float]


class Curve:
    """(step, value) by rising step. Up to `most` of them as they are; then of each stretch the smallest and the

    largest, so that a single bad step stays to be seen. The first and the last are always there.
    """

    def __init__(self, most: int = MOST):
        self.most = most
        self.count = 0
        self._first: Point | None = None
        self._kept: list[Point] = []
        self._open: list[Point] = []  # of the stretch that is not full yet
        self._stretch = 1

    def add(self, step: int, value: float) -> None:
        """The next one."""
        self.count += 1
        self._first = self._first or (step, value)
        self._open.append((step, value))
        if len(self._open) == self._stretch:
            self._kept += extremes(self._open)
            self._open = []
            if len(self._kept) >= self.most:
                self._halve()

    def points(self) -> tuple[Point, ...]:
        """As many as `most`, and a few at the ends."""
        found = [*self._kept, *extremes(self._open)]
        last = self._open[-1:] or found[-1:]
        if found and found[-1] != last[0]:
            found += last
        if self._first and found[0] != self._first:
            found.insert(0, self._first)
        return tuple(found)

    def _halve(self) -> None:
        """Of every four points two stay: four steps while all are there, else two stretches, which become one."""
        groups = [self._kept[at : at + 4] for at in range(0, len(self._kept), 4)]
        self._kept = [point for group in groups for point in extremes(group)]
        self._stretch = 4 if self._stretch == 1 else 2 * self._stretch


def extremes(points: Sequence[Point]) -> list[Point]:
    """The smallest and the largest, in their order; one point alone stays one."""
    if len(points) < 2:
        return list(points)
    low, high = min(points, key=itemgetter(1)), max(points, key=itemgetter(1))
    return [low] if low is high else sorted((low, high))
