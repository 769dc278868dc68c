"""What a job needs of the free memory: the verdict, a bar in parts, and what each part is."""

from __future__ import annotations

from itertools import accumulate

from rich.cells import cell_len

from engine.wizard.memory import Need, Unknown, gigabytes
from tui.widgets import Words
from tui.words import _, problem_text, say
from tui.wrapping import wrap

WIDEST = 100  # cells of a bar
GLYPHS = {"weights": "█", "trained": "▓", "activations": "▒", "head": "░", "reserve": "╱", "measuring": "╲"}
ASCII = {"weights": "#", "trained": "+", "activations": "=", "head": "~", "reserve": "/", "measuring": "\\"}
FREE, ASCII_FREE, BORDER = "·", ".", "|"
GAP = "  "


class MemoryBar(Words):
    """Each part has a glyph of its own, so no colour is needed to tell them apart."""

    def __init__(self, ascii_only: bool, *, id: str | None = None):  # noqa: A002
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self.found: Need | Unknown | None = None
        self.whole = True

    def show_need(self, found: Need | Unknown, *, whole: bool = True) -> None:
        """Another job. whole: with what the figure rests on."""
        self.found, self.whole = found, whole
        self.show("\n".join(self.lines(WIDEST)))

    def lines(self, cells: int) -> list[str]:
        """As drawn at this width."""
        if isinstance(self.found, Need):
            return need_lines(self.found, cells, ascii_only=self.ascii_only, whole=self.whole)
        return unknown_lines(self.found, cells) if self.found else []


def need_lines(need: Need, cells: int, *, ascii_only: bool, whole: bool = True) -> list[str]:
    """Verdict, bar, legend, and with `whole` what the figure rests on."""
    rest = [line for phrase in need.basis if whole for line in wrap(say(phrase), cells)]
    drawn = bar(need, min(cells, WIDEST), ascii_only=ascii_only)
    return [*wrap(say(need.verdict_line), cells), drawn, *legend(need, cells, ascii_only=ascii_only), *rest]


def unknown_lines(found: Unknown, cells: int) -> list[str]:
    """Why there is no figure."""
    text = "\n".join([say(found.reason), *(problem_text(problem) for problem in found.problems)])
    return wrap(text, cells)


def bar(need: Need, cells: int, *, ascii_only: bool) -> str:
    """The parts in `cells` cells, then what stays free. Where too much is needed, `|` stands where the free end."""
    glyphs, inner = (ASCII if ascii_only else GLYPHS), max(cells - 2, len(GLYPHS))
    free, whole = need.device.free, max(need.needed, need.device.free, 1)
    drawn = ""
    for part, end in zip(need.parts, accumulate(part.size for part in need.parts), strict=True):
        drawn += glyphs[part.id] * max(round(inner * end / whole) - len(drawn), 1)  # a small part is seen too
    drawn = drawn[:inner].ljust(inner, ASCII_FREE if ascii_only else FREE)
    if need.needed > free:
        at = min(inner * free // whole, inner - 1)
        drawn = f"{drawn[:at]}{BORDER}{drawn[at + 1 :]}"
    return f"[{drawn}]"


def legend(need: Need, cells: int, *, ascii_only: bool) -> list[str]:
    """Glyph, name and GB of each part; a part never stands on two lines."""
    glyphs, lines = (ASCII if ascii_only else GLYPHS), [""]
    shown = [(glyphs[part.id], say(part.name), part.size) for part in need.parts]
    spare = need.device.free - need.needed
    if spare > 0:
        shown.append((ASCII_FREE if ascii_only else FREE, _("stays free"), spare))
    for glyph, name, size in shown:
        item = f"{glyph} {name} {gigabytes(size)}"
        joined = f"{lines[-1]}{GAP}{item}" if lines[-1] else item
        if cell_len(joined) <= cells or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(item)
    return lines
