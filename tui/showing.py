"""`v` at plain prompts: what was found out about every row, and rows as the model will see them."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from engine.data.views import RowView
from engine.errors import ProblemError
from engine.wizard.inspection import inspection, page, refused, request, rows_of, summary
from tui.words import _, say

if TYPE_CHECKING:
    from tui.asking import Asker

SHOW = "v"
FIRST = 2  # rows that follow the report


def show_rows(asker: Asker, text: str) -> bool:
    """Whether `text` asks for it: `v` is the report and two rows, `v 12` the twelfth row, token by token as well."""
    command, _space, number = text.partition(" ")
    if command != SHOW or (number and not number.isdecimal()):
        return False
    if number:
        _tell_row(asker, int(number))
    else:
        _tell_report(asker)
    return True


def _tell_report(asker: Asker) -> None:
    from tui.rowspage import report_words

    wizard, tell = asker.wizard, asker.prompts.tell
    _find(asker)
    found = inspection(wizard)
    if found is None:
        said = summary(wizard)
        tell(say(said) if said else _("Model and data have to be known first."))
        asker.tell_problems(list(refused(wizard)))
        return
    for line in report_words(found, _width(), ascii_only=_ascii()).split("\n"):
        tell(line)
    for view in found.rows[:FIRST]:
        _tell(asker, view, tokens=False)
    if found.rows:
        tell(_("v NUMBER shows that row, token by token too; there are {rows}.").format(rows=found.rows[0].rows))


def _tell_row(asker: Asker, number: int) -> None:
    _find(asker)
    found, asked = inspection(asker.wizard), request(asker.wizard)
    if found is None or asked is None or not found.rows or not 0 < number <= found.rows[0].rows:
        asker.prompts.tell(_("There is no such row to show."))
        return
    rows = {view.number: view for view in found.rows}
    if number not in rows:
        try:
            rows = {view.number: view for view in rows_of(asker.desk.find(page(asked, number - 1), asker.progress))}
        except ProblemError as error:
            asker.tell_problems(list(error.problems))
            return
    _tell(asker, rows[number], tokens=False)
    _tell(asker, rows[number], tokens=True)


def _find(asker: Asker) -> None:
    """Look at every row, unless that was done."""
    wizard = asker.wizard
    asked = request(wizard)
    if asked is None or asked in wizard.facts:
        return
    asker.prompts.tell(_("Checking every row …"))
    try:
        wizard.learn(asked, asker.desk.find(asked, asker.progress))
        wizard.refusals.pop(asked, None)
    except ProblemError as error:
        wizard.refuse(asked, error.problems)


def _tell(asker: Asker, view: RowView, *, tokens: bool) -> None:
    from tui.rowspage import row_facts, row_lines, row_title

    found = inspection(asker.wizard)
    tell = asker.prompts.tell
    if not tokens:
        tell()
        tell(row_title(view))
        for fact in row_facts(view, found.review.cutoff_len if found and found.review else None):
            tell(fact)
        mark = "|" if _ascii() else "┃"
        tell(_("{mark} is learnt, the rest only read.").format(mark=mark))
    for line in row_lines(view, _width(), tokens=tokens, ascii_only=_ascii()):
        tell(line.text)


def _width() -> int:
    return shutil.get_terminal_size().columns


def _ascii() -> bool:
    return not (sys.stderr.encoding or "").lower().replace("-", "").startswith("utf")
