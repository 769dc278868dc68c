"""The doctor's findings in three columns: how it is, what was looked at, what was found; under it what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from engine.doctor.check import Check, Status
from engine.text import one_line
from tui.words import noop, say, translate
from tui.wrapping import fit, wrap

WORDS: dict[Status, str] = {"ok": noop("ok"), "warn": noop("warning"), "fail": noop("FAILED")}
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
    first = max(cell_len(translate(WORDS[check.status])) for check in checks) + GAP
    titles = [fit(say(check.title), LONGEST_TITLE) for check in checks]
    second = max(cell_len(title) for title in titles) + GAP
    room = max(width - first - second, LEAST)
    lines = []
    for check, title in zip(checks, titles, strict=True):
        told = wrap(one_line(say(check.finding), LONGEST), room)
        remedy = one_line(say(check.remedy), LONGEST)
        told += wrap(f"-> {remedy}", room) if remedy and check.status != "ok" else []
        word = translate(WORDS[check.status])
        for number, line in enumerate(told):
            start = (_padded(word, first), _padded(title, second)) if number == 0 else (" " * first, " " * second)
            lines.append(CheckLine(check.status, start[0], start[1] + line))
    return lines


def _padded(text: str, cells: int) -> str:
    return text + " " * (cells - cell_len(text))
