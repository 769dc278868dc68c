"""The loss as a picture of characters: what each step had as loose dots, the smoothed loss as a line.

Braille characters hold 2×4 dots each; with `ascii_only` a cell is `.` or `*`. No colour is needed to tell them apart.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TypeGuard, TypeVar

from textual.events import Resize
from textual.widgets import Static

from tui.widgets import plain

Points = Sequence[tuple[int, float | None]]
Known = list[tuple[int, float]]
P = TypeVar("P", bound=tuple[int, float | None])

HELD_BACK = "x"  # what was measured on the rows held back, in both modes
RAW, LINE = ".", "*"
LEAST_WIDTH, LEAST_HEIGHT = 24, 4
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # [row][column] of a braille cell, Unicode 3.0


def draw(
    losses: Points, smoothed: Points, evals: Points, width: int, height: int, ascii_only: bool, log_scale: bool = False
) -> list[str]:
    """`height` lines of at most `width` characters; none where there is no room or nothing to show.

    Points are (optimiser step, loss) by rising step. A loss that is None or not finite is a gap in the line. Left of
    the picture stand the largest and the smallest value, right of it the last, below it the first and the last step.
    """
    raw, line, marks = known(losses, log_scale), smoothed, known(evals, log_scale)
    found = [points for points in (raw, known(line, log_scale) if not raw else [], marks) if points]
    if not found or width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return []
    low = min(min(map(itemgetter(1), points)) for points in found)
    high = max(max(map(itemgetter(1), points)) for points in found)
    first, final = min(points[0][0] for points in found), max(points[-1][0] for points in found)
    last = found[0][-1][1]
    left, right = max(len(label(low)), len(label(high))), len(label(last))
    canvas = Canvas(width - left - right - 2, height - 1, ascii_only, log_scale)
    canvas.span(first, final, low, high)
    for step, value in _thinned(raw, canvas):
        canvas.point(step, value)
    canvas.line([points[-1] for points in columns(line, canvas)])
    for step, value in marks:
        canvas.mark(step, value)
    return framed(canvas, low, high, {canvas.row_of(last): label(last)})


def framed(canvas: Canvas, low: float, high: float, beside: Mapping[int, str]) -> list[str]:
    """A picture with its extreme values left of it, its steps below, and `beside` {row: text} right of it."""
    left, first, final = max(len(label(low)), len(label(high))), canvas.first, canvas.last
    named = {canvas.row_of(low): label(low), canvas.row_of(high): label(high)}
    lines = [
        f"{named.get(number, ''):>{left}} {row} {beside.get(number, '')}".rstrip()
        for number, row in enumerate(canvas.rows())
    ]
    room = max(1, canvas.width - len(str(first)) - len(str(final)))
    return [*lines, " " * (left + 1) + (f"{first}{' ' * room}{final}" if first < final else str(first))]


def label(value: float) -> str:
    """Four digits that matter."""
    return f"{value:.4g}"


class Canvas:
    """A grid of dots behind a grid of characters."""

    def __init__(self, width: int, height: int, ascii_only: bool, log_scale: bool):
        self.width, self.height, self.ascii_only, self.log_scale = width, height, ascii_only, log_scale
        self.across, self.down = (width, height) if ascii_only else (2 * width, 4 * height)
        self.cells = [[0 if not ascii_only else ord(" ")] * width for _ in range(height)]
        self.marks: dict[tuple[int, int], str] = {}

    def span(self, first: int, last: int, low: float, high: float) -> None:
        """What the corners stand for. A single step or value lies in the middle."""
        self.first, self.last = first, last
        self.low, self.high = self._scaled(low), self._scaled(high)

    def column(self, step: int) -> int:
        """Of dots, from the left."""
        if self.last == self.first:
            return self.across // 2
        return (step - self.first) * (self.across - 1) // (self.last - self.first)

    def first_step(self, column: int) -> float:
        """The smallest step that falls into a column of dots."""
        return self.first + column * (self.last - self.first) / (self.across - 1)

    def point(self, step: int, value: float) -> None:
        """A loose dot."""
        self._dot(self.column(step), self._row(value), RAW)

    def line(self, points: Points, sign: str = LINE) -> None:
        """Neighbours joined, so that a steep fall stays one line; broken where there is no value.

        sign: what a cell of it is with `ascii_only`.
        """
        before: tuple[int, int] | None = None
        for step, value in points:
            if not _drawable(value, self.log_scale):
                before = None
                continue
            x, y = self.column(step), self._row(value)
            across, down = (0, 0) if before is None else (x - before[0], y - before[1])
            length = max(across, abs(down), 1)
            for part in range(length):  # from where it is to where it came from
                self._dot(x - across * part // length, y - round(down * part / length), sign)
            before = (x, y)

    def mark(self, step: int, value: float, sign: str = HELD_BACK) -> None:
        """A whole character."""
        self.marks[self.row_of(value), self.column(step) // (self.across // self.width)] = sign

    def is_marked(self, step: int, value: float) -> bool:
        """Whether a whole character stands there."""
        return (self.row_of(value), self.column(step) // (self.across // self.width)) in self.marks

    def row_of(self, value: float) -> int:
        """Of characters, from the top."""
        return self._row(value) // (self.down // self.height)

    def rows(self) -> list[str]:
        """The picture."""
        base = 0 if self.ascii_only else 0x2800
        return [
            "".join(self.marks.get((y, x)) or (" " if not cell else chr(base + cell)) for x, cell in enumerate(row))
            for y, row in enumerate(self.cells)
        ]

    def _row(self, value: float) -> int:
        if self.high == self.low:
            return self.down // 2
        share = (self.high - self._scaled(value)) / (self.high - self.low)
        return min(self.down - 1, max(0, round(share * (self.down - 1))))

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log_scale else value

    def _dot(self, x: int, y: int, sign: str) -> None:
        if self.ascii_only:
            self.cells[y][x] = ord(sign)
        else:
            self.cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]


def _drawable(value: float | None, log_scale: bool) -> TypeGuard[float]:
    return value is not None and math.isfinite(value) and not (log_scale and value <= 0)


def known(points: Points, log_scale: bool) -> Known:
    return [(step, value) for step, value in points if _drawable(value, log_scale)]


def columns(points: Sequence[P], canvas: Canvas, dots: int = 1) -> Iterator[Sequence[P]]:
    """The points by the columns, so many dots wide, that they fall into; halving finds where each begins."""
    begin = 0
    for column in range(dots, canvas.across + dots, dots):
        end = len(points)
        if column < canvas.across:
            end = bisect_left(points, canvas.first_step(column), begin, key=itemgetter(0))
        if end > begin:
            yield points[begin:end]
        begin = end


def _thinned(points: Known, canvas: Canvas) -> Iterator[tuple[int, float]]:
    """At most two points a character, the smallest and the largest: a single bad step stays to be seen."""
    for found in columns(points, canvas, canvas.across // canvas.width):
        low, high = min(found, key=itemgetter(1)), max(found, key=itemgetter(1))
        yield low
        if high is not low:
            yield high


class LossChart(Static):
    """Draws again only when the picture differs."""

    DEFAULT_CSS = "LossChart { height: 1fr; min-height: 4; }"

    def __init__(self, ascii_only: bool) -> None:
        super().__init__("")
        self.ascii_only = ascii_only
        self.log_scale = False
        self._points: tuple[Points, Points, Points] = ((), (), ())
        self._lines: list[str] = []

    def show(self, losses: Points, smoothed: Points, evals: Points) -> None:
        """Take new points."""
        points = (losses, smoothed, evals)
        if points != self._points:
            self._points = points
            self.redraw()

    def toggle_scale(self) -> None:
        """Linear or logarithmic losses."""
        self.log_scale = not self.log_scale
        self.redraw()

    def on_resize(self, event: Resize) -> None:
        """As large as there is room."""
        self.redraw()

    def picture(self) -> list[str]:
        """The lines of it, as large as there is room."""
        return draw(*self._points, self.size.width, self.size.height, self.ascii_only, self.log_scale)

    def redraw(self) -> None:
        """Where it differs from what stands there."""
        lines = self.picture()
        if lines != self._lines:
            self._lines = lines
            self.update(plain("\n".join(lines)), layout=False)
