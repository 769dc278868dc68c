"""Rows as the model will see them, and the report on all of them, as lines: for the full screen and plain prompts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len, get_character_cell_size
from rich.console import Console

from engine.data.sampling import Pieces, Stretch
from engine.data.views import RowView
from engine.text import clean
from engine.wizard.inspection import Inspection
from tui.datapage import Page, visible
from tui.words import _, problem_line, problem_text

LEARNT, READ = "┃ ", "  "  # before every line of a row
LEARNT_ASCII = "| "
LEAST = 20  # cells of a line


@dataclass(frozen=True)
class Line:
    """One line of a row, with its mark in front."""

    text: str
    learnt: bool


def row_title(view: RowView) -> str:
    """Which row it is, and how much of it there is."""
    if view.row is None:
        return _("Row {number} of {rows}").format(number=view.number, rows=view.rows)
    line = _("Row {number} of {rows}: {tokens} tokens, {labelled} of them learnt")
    return line.format(number=view.number, rows=view.rows, tokens=view.row.tokens, labelled=view.row.labelled)


def row_facts(view: RowView, cutoff: int | None = None) -> list[str]:
    """What was cut off, what is not shown, and why it is left out. cutoff: tokens that a row may have."""
    found = []
    if view.problem is not None:
        found.append(_("This row is left out: {why}").format(why=problem_text(view.problem)))
    if view.tokens_cut:
        line = _("Cut: {tokens} tokens")
        if view.end_lost:
            line = _("Cut: {tokens} tokens, part of an answer and its end mark among them")
        elif view.answer_cut:
            line = _("Cut: {tokens} tokens, part of an answer among them")
        limit = _(" (cutoff_len is {cutoff})").format(cutoff=cutoff) if cutoff else ""
        found.append(line.format(tokens=view.tokens_cut) + limit)
    if view.row is not None and not view.row.labelled:
        found.append(_("Nothing of this row is learnt."))
    return found


def row_lines(view: RowView, cells: int, *, tokens: bool = False, ascii_only: bool = False) -> list[Line]:
    """The row in lines of at most `cells` cells. Lines that are learnt have a mark in front, whatever the colours.

    tokens: every token with its number in brackets, spaces as dots; else the text as it stands.
    """
    if view.row is None:
        return []
    mark, space = (LEARNT_ASCII, "_") if ascii_only else (LEARNT, "·")
    lines = []
    for place, stretch in enumerate(view.row.stretches):
        if view.row.left_out and place == view.row.left_out_after:
            lines.append(Line(READ + _("… {count} more stretches …").format(count=view.row.left_out), False))
        front = mark if stretch.learnt else READ
        parts = _tokens(stretch, space) if tokens else [_text(stretch)]
        lines += [Line(front + line, stretch.learnt) for line in _folded(parts, max(cells - 2, LEAST))]
    return lines


def report_words(found: Inspection, cells: int, *, ascii_only: bool = False) -> str:
    """The report of `data check` in lines of this width; what stands in the way where there is none."""
    if found.review is None:
        lines = [problem_line(problem) for problem in found.problems]
        return "\n".join(lines) or _("Model or data have to be fetched first.")
    said = io.StringIO()
    page = Page(found.review, Console(file=said, width=max(cells, LEAST), color_system=None, highlight=False))
    if ascii_only:
        page.block, page.space = "#", "_"
    page.print(samples=False)
    lines = [line.rstrip() for line in said.getvalue().rstrip().split("\n")]
    if found.first is not None:
        lines.insert(0, _("The file is large: these are its first {rows} rows.").format(rows=found.first))
    return "\n".join(lines)


def _text(stretch: Stretch) -> str:
    def joined(pieces: Pieces) -> str:
        return "".join(text for _ids, text in pieces)

    gap = _("… {count} tokens …").format(count=stretch.left_out)
    return joined(stretch.head) + (f"\n{gap}\n{joined(stretch.tail)}" if stretch.left_out else "")


def _tokens(stretch: Stretch, space: str) -> list[str]:
    """A word for every token."""

    def words(pieces: Pieces) -> list[str]:
        return [f"{visible(text, space)}[{'+'.join(map(str, ids))}]" for ids, text in pieces]

    gap = [_("… {count} tokens …").format(count=stretch.left_out)] if stretch.left_out else []
    return [*words(stretch.head), *gap, *words(stretch.tail)]


def _folded(parts: list[str], cells: int) -> Iterator[str]:
    """Lines of the text, indents kept; words of a list stay whole where they can."""
    if len(parts) == 1:
        for line in clean(parts[0]).replace("\t", "    ").split("\n"):
            yield from _broken(line, cells)
        return
    now = ""
    for part in parts:
        if now and cell_len(now) + 1 + cell_len(part) > cells:
            yield from _broken(now, cells)
            now = part
        else:
            now = f"{now} {part}" if now else part
    yield from _broken(now, cells)


def _broken(line: str, cells: int) -> Iterator[str]:
    """A line in pieces of at most `cells` cells, broken after a space where there is one in its second half."""
    while True:
        head = line[: _fitting(line, cells)]
        if len(head) == len(line):
            yield line
            return
        space = head.rfind(" ")
        if space > len(head) // 2:
            head = head[: space + 1]
        yield head.rstrip()
        line = line[len(head) :]


def _fitting(line: str, cells: int) -> int:
    """How many characters have room."""
    width = 0
    for place, character in enumerate(line[: cells + 1]):
        width += get_character_cell_size(character)
        if width > cells:
            return place
    return len(line)
