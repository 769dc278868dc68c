"""The doctor's findings in three columns: how it is, what was looked at, what was found; under it what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from engine.doctor.check import Check, Status
from engine.text import one_line
from tui.words import noop, say, translate
from tui.wrapping import wrap

WORDS: dict[Status, str] = {"ok": noop("ok"), "warn": noop("warning"), "fail": noop("FAILED")}
GAP = 2


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
    second = max(cell_len(say(check.title)) for check in checks) + GAP
    lines = []
    for check in checks:
        told = wrap(one_line(say(check.finding)), width - first - second)
        remedy = one_line(say(check.remedy))
        told += wrap(f"-> {remedy}", width - first - second) if remedy and check.status != "ok" else []
        word, title = translate(WORDS[check.status]), say(check.title)
        for number, line in enumerate(told):
            start = (_padded(word, first), _padded(title, second)) if number == 0 else (" " * first, " " * second)
            lines.append(CheckLine(check.status, start[0], start[1] + line))
    return lines


def _padded(text: str, cells: int) -> str:
    return text + " " * (cells - cell_len(text))
