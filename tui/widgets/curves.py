"""The smoothed losses of several runs in one picture, told apart by letters that stand on the lines."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from tui.widgets.chart import LEAST_HEIGHT, LEAST_WIDTH, Canvas, LossChart, Points, columns, framed, known, label

LETTERS = "ABCD"
APART = 12  # characters between two letters of a line


def draw_curves(
    curves: Sequence[Points], width: int, height: int, ascii_only: bool, log_scale: bool = False
) -> list[str]:
    """`height` lines of at most `width` characters, the first curve as A; none where there is no room or no curve.

    In braille letters stand on a line every few characters, in ASCII the line is made of its letter. Where two share
    a cell of ASCII they take turns. Right of the picture stands the last value of each that has a row to itself.
    """
    lines = {letter: known(points, log_scale) for letter, points in zip(LETTERS, curves, strict=False)}
    lines = {letter: points for letter, points in lines.items() if points}
    if not lines or width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return []
    values = [value for points in lines.values() for _, value in points]
    low, high = min(values), max(values)
    ends = {letter: f"{letter} {label(points[-1][1])}" for letter, points in lines.items()}
    left, right = max(len(label(low)), len(label(high))), max(map(len, ends.values()))
    canvas = Canvas(width - left - right - 2, height - 1, ascii_only, log_scale)
    steps = [point[0] for points in lines.values() for point in (points[0], points[-1])]
    canvas.span(min(steps), max(steps), low, high)
    thinned = {letter: [part[-1] for part in columns(points, canvas)] for letter, points in lines.items()}
    for letter, points in thinned.items():
        canvas.line(points, letter)
    for place, (letter, points) in enumerate(thinned.items()):
        _letters(canvas, letter, points, place)
    beside: dict[int, str] = {}
    for letter, points in lines.items():
        beside.setdefault(canvas.row_of(points[-1][1]), ends[letter])
    return framed(canvas, low, high, beside)


def _letters(canvas: Canvas, letter: str, points: Points, place: int) -> None:
    """A letter where a line ends and every few characters on it, for each line at other columns; in ASCII, where
    letters are the line, those that another one covered."""
    wide = canvas.across // canvas.width
    shared = len(LETTERS) if canvas.ascii_only else APART
    offset = place if canvas.ascii_only else place * APART // len(LETTERS)
    for step, value in points:
        if value is not None and canvas.column(step) // wide % shared == offset:
            canvas.mark(step, value, letter)
    step, value = max((point for point in points if point[1] is not None), key=itemgetter(0))
    if value is not None and not canvas.is_marked(step, value):
        canvas.mark(step, value, letter)


class CurvesChart(LossChart):
    """Draws again only when the picture differs."""

    DEFAULT_CSS = "CurvesChart { height: 1fr; min-height: 6; }"

    def __init__(self, ascii_only: bool) -> None:
        super().__init__(ascii_only)
        self.curves: Sequence[Points] = ()

    def show_curves(self, curves: Sequence[Points]) -> None:
        """Take the curves, the first as A."""
        self.curves = curves
        self.redraw()

    def picture(self) -> list[str]:
        """The lines of it, as large as there is room."""
        return draw_curves(self.curves, self.size.width, self.size.height, self.ascii_only, self.log_scale)
