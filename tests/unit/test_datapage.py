"""The page of `data check`: what it says of rows that were cut, and of templates that differ."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from engine.data.comparing import Difference
from engine.data.review import Part, Review
from engine.errors import Problem
from tui.datapage import Page
from tui.words import set_language


@pytest.fixture
def chinese() -> Iterator[None]:
    set_language("zh")
    yield
    set_language("en")


def page(problems: tuple[str, ...] = (), *, cut: tuple[int, int, int, int] = (0, 0, 0, 0)) -> str:
    """The page of nine rows, one line an entry. `cut`: rows, tokens, answers and end marks that were cut."""
    whole = {"rows": 9, "packed_rows": 0, "tokens": 90, "labelled": 45, "masked": 0, "masked_first": (), "end_rows": 9}
    names = ("truncated", "tokens_cut", "answers_cut", "end_marks_lost")
    twice = {"duplicates": 0, "times": 1, "repeated": "", "empty": 0, "largest_id": 5, "lengths": None}
    part = Part(**whole, **dict(zip(names, cut, strict=True)), **twice)
    found = [Problem(code, {"answers": 1}, severity="warning") for code in problems]
    difference = Difference(0, "<s>", "<t>", "", 2)
    review = Review("chatml", 64, True, difference, ((2, "</s>"),), None, parts={"train": part}, problems=found)
    stream = io.StringIO()
    Page(review, Console(file=stream, width=200, highlight=False)).print()
    return stream.getvalue()


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        ((0, 0, 0, 0), "none"),
        ((3, 40, 0, 0), "3 rows lost 40 tokens"),
        ((3, 40, 2, 0), "3 rows lost 40 tokens; 2 of them part of an answer"),
        ((3, 40, 2, 1), "3 rows lost 40 tokens; 2 of them part of an answer, 1 its end mark"),
    ],
)
def test_what_was_not_cut_is_not_told(cut: tuple[int, int, int, int], said: str) -> None:
    line = next(line for line in page(cut=cut).splitlines() if "cut at cutoff_len" in line)
    assert line.split("cut at cutoff_len")[1].strip() == said


def test_characters_count_from_1() -> None:
    assert "first at character 1 of a conversation" in page()


def test_only_warnings_are_pointed_at() -> None:
    assert page().rstrip().endswith("A run would start: nothing is wrong with this data.")
    assert page(("answers_empty",)).rstrip().endswith("A run would start; see the warnings above.")


@pytest.mark.usefixtures("chinese")
def test_chinese_has_its_own_brackets() -> None:
    assert "（template chatml，cutoff_len 64）" in page()
