"""The doctor's findings in three columns: how it is, what was looked at, what was found; under it what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from engine.doctor.check import STATUS_WORDS, Check, Status
from engine.text import one_line
from tui.words import say
from tui.wrapping import fit, pad, wrap

GAP = 2
LONGEST_TITLE = 30  # cells
LEAST = 20  # cells for what was found, however narrow the window is
LONGEST = 600  # characters of what was found or of a remedy


@dataclass(frozen=True)
class CheckLine:
    """`word` is the first column, filled up to its width; empty words begin further lines of the same check."""

    status: Status
    word: str
    rest: str


def check_lines(checks: Sequence[Check], width: int) -> list[CheckLine]:
    """All of them, at a width in cells."""
    if not checks:
        return []
    first = max(cell_len(say(STATUS_WORDS[check.status])) for check in checks) + GAP
    titles = [fit(say(check.title), LONGEST_TITLE) for check in checks]
    second = max(cell_len(title) for title in titles) + GAP
    room = max(width - first - second, LEAST)
    lines = []
    for check, title in zip(checks, titles, strict=True):
        told = wrap(one_line(say(check.finding), LONGEST), room)
        remedy = one_line(say(check.remedy), LONGEST)
        told += wrap(f"-> {remedy}", room) if remedy and check.status != "ok" else []
        word = say(STATUS_WORDS[check.status])
        for number, line in enumerate(told):
            start = (pad(word, first), pad(title, second)) if number == 0 else (" " * first, " " * second)
            lines.append(CheckLine(check.status, start[0], start[1] + line))
    return lines
