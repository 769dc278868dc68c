"""What a look at every row finds, made up."""

from __future__ import annotations

from typing import Any

from engine.data.histogram import Bar, Lengths
from engine.data.review import Part, Review
from engine.data.sampling import SampleRow, Stretch
from engine.data.views import RowView
from engine.errors import Problem

RUIN = Problem("end_mark_cut", {"cutoff_len": 16, "rows": 78, "marks": ["</s>"], "longest": 99}, key="cutoff_len")
LENGTHS = Lengths(12, 31, 44, 60, 71, {512: 0}, (Bar(10, 39, 60), Bar(40, 79, 18)))


def row(number: int, rows: int = 78, question: str = "Who are you?", answer: str = "I am Lumi.") -> RowView:
    """A question that is read and an answer that is learnt."""
    asked = Stretch(False, (((1,), "<|im_start|>user\n"), ((2, 3), question), ((4,), "<|im_end|>\n")))
    learnt = Stretch(True, (((5,), answer), ((4,), "<|im_end|>")))
    return RowView(number, rows, f"/home/ada/rows.csv:{number + 1}", SampleRow(number, rows, 5, 2, (asked, learnt)))


def look(*problems: Problem, rows: tuple[RowView, ...] | None = None, **part: Any) -> dict[str, Any]:
    """The desk's answer; `part` changes figures of the rows that are trained on."""
    figures = {
        "rows": 78,
        "packed_rows": 0,
        "tokens": 3100,
        "labelled": 1300,
        "truncated": 0,
        "tokens_cut": 0,
        "answers_cut": 0,
        "end_marks_lost": 0,
        "masked": 0,
        "masked_first": (),
        "end_rows": 78,
        "duplicates": 0,
        "times": 1,
        "repeated": "",
        "empty": 0,
        "largest_id": 41,
        "lengths": LENGTHS,
    }
    review = Review("auto", 512, True, None, ((4, "<|im_end|>"),), 49152)
    review.sets.append({"name": "identity", "read": 78, "kept": 78, "dropped": {}, "first": [], "notes": []})
    review.parts["train"] = Part(**{**figures, **part})
    review.problems.extend(problems)
    shown = (row(1), row(2), row(3)) if rows is None else rows
    return {"review": review.as_dict(), "problems": [], "rows": [one.as_dict() for one in shown], "first": None}
