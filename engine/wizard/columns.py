"""Which column is which: what is still to be chosen, and what stands in each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.data.shapes import check_mapping
from engine.errors import Problem, ProblemError
from engine.text import one_line

if TYPE_CHECKING:
    from engine.wizard.session import Wizard

MOST, LONGEST = 8, 60  # names in a sentence, characters of one


def few(columns: Sequence[str]) -> list[str]:
    """The names of columns for a sentence: of a wide table only the first ones."""
    more = len(columns) - MOST
    shown = [one_line(name, LONGEST) for name in columns[:MOST]]
    return [*shown, f"… (+{more})"] if more > 0 else shown


def mapping_problems(wizard: Wizard) -> list[Problem]:
    """What keeps the columns from being used as they are chosen, or recognised."""
    columns = wizard.columns()
    if not columns:
        return []
    mapping = wizard.mapping() or wizard.recognised()
    if not mapping:
        return [Problem("columns_unknown", {"columns": few(columns)})]
    found = wizard.found("columns")
    if not wizard.mapping() and found["unusable"]:
        return [Problem("rows_unusable"), *map(Problem.from_dict, found["unusable"])]
    try:
        check_mapping(mapping, columns, wizard.value("instruction"), str(wizard.source()))
    except ProblemError as error:
        return [told for problem in error.problems for told in _plainly(problem)]
    return []


def _plainly(problem: Problem) -> list[Problem]:
    """What is missing, in the words of the questions."""
    if problem.code != "convert_mapping_incomplete":
        return [problem]
    return [Problem(f"column_of_{target}") for target in problem.params["missing"]]
