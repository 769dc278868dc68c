"""The data step: what was found out about every row, row by row, names of a sample's own, columns of a file."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.data.sampling import SampleRow, Stretch
from engine.data.views import RowView
from engine.errors import Problem
from engine.wizard.inspection import Inspection, rows_of
from tests.pilot.every import reach
from tests.pilot.fakes import FakeDesk, app_of, at, file_facts, screen_text, until
from tests.pilot.foreign import ALL, LONG
from tests.pilot.looks import RUIN, look, row
from tui.app import WizardApp
from tui.rowspage import Line, report_words, row_facts, row_lines, row_title
from tui.screens.checked import ReportPane, RowsPane
from tui.widgets.form import GO, Form
from tui.words import language, set_language


async def checked(pilot: Pilot[Any], app: WizardApp) -> None:
    """The data step, once every row was looked at."""
    await reach(pilot, app, "data")
    await until(pilot, lambda: "Checked 78 rows" in screen_text(app))


async def test_the_summary_comes_by_itself_and_holds_nobody_up(cwd: Path) -> None:
    """It runs beside everything else: Enter goes on before it is there, and it is not asked again."""
    gate = threading.Event()
    desk = FakeDesk(facts={"check": lambda options: gate.wait(20) and look(truncated=2, duplicates=1)})
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "data")
        await until(pilot, lambda: "Checking every row" in screen_text(app))
        await pilot.press("enter")
        await at(pilot, "preset")
        await pilot.press("escape")
        await at(pilot, "data")
        gate.set()
        await until(pilot, lambda: "2 cut, 1 repeated" in " ".join(screen_text(app).split()))
        assert [asked.what for asked in desk.asked].count("check") == 1 and desk.cancelled == 0


async def test_the_report_is_a_page(cwd: Path) -> None:
    """All that `data check` tells, but for the rows, which have a page of their own."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await checked(pilot, app)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, ReportPane) and "identity: 78 rows" in screen_text(app))
        assert "tokens in a row" in screen_text(app) and "█" in screen_text(app)
        await pilot.press("end")
        await until(pilot, lambda: "nothing is wrong with this data" in screen_text(app))
        await pilot.press("escape")
        await at(pilot, "data")


async def test_rows_are_looked_at_one_by_one(cwd: Path) -> None:
    """Forth and back, as text and token by token; further ones are fetched by the page."""

    def found(options: dict[str, str]) -> Any:
        start = int(options.get("at", 0))
        return look(rows=tuple(row(start + place, question=f"Question {start + place}?") for place in (1, 2)))

    app = app_of(cwd, FakeDesk(facts={"check": found}))
    async with app.run_test(size=(80, 24)) as pilot:
        await checked(pilot, app)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RowsPane) and "Row 1 of 78" in screen_text(app))
        assert "  Question 1?<|im_end|>" in screen_text(app) and "┃ I am Lumi.<|im_end|>" in screen_text(app)
        await pilot.press("t")
        await until(pilot, lambda: "Question·1?[2+3]" in screen_text(app))
        await pilot.press("right")
        await until(pilot, lambda: "Question·2?[2+3]" in screen_text(app))
        await pilot.press("n")
        await until(pilot, lambda: "Row 3 of 78" in screen_text(app))
        await pilot.press("t", "p", "left", "left")
        await until(pilot, lambda: "Row 1 of 78" in screen_text(app) and "Question 1?" in screen_text(app))
        await pilot.press("q")
        await at(pilot, "data")


async def test_rows_that_cannot_be_fetched_say_why_and_can_be_asked_for_again(cwd: Path) -> None:
    """The key is still there."""
    tries: list[int] = []

    def fetch(start: int) -> tuple[RowView, ...]:
        tries.append(start)
        if len(tries) == 1:
            raise MemoryError("no room")
        return (row(start + 1),)

    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")
        found = Inspection(None, rows_of(look(rows=(row(1),))), None, ())
        app.push_screen(RowsPane(found, fetch, ascii_only=False))
        await until(pilot, lambda: "Row 1 of 78" in screen_text(app))
        await pilot.press("right")
        await until(pilot, lambda: "no room" in screen_text(app))
        await pilot.press("right")
        await until(pilot, lambda: "Row 2 of 78" in screen_text(app))
    assert tries == [1, 1]


async def test_what_would_ruin_the_run_is_said_here_and_stops_the_review(cwd: Path) -> None:
    """The settings may mend it, so this step can be left; who knows better trains nevertheless."""
    desk = FakeDesk(facts={"check": look(RUIN)})
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await checked(pilot, app)
        assert "cuts the end mark off" in " ".join(screen_text(app).split())
        await pilot.press("enter")
        await at(pilot, "preset")
        await pilot.press("enter")
        await at(pilot, "settings")
        await pilot.press("enter")
        await at(pilot, "review")
        await until(pilot, lambda: app.wizard.problems("review"))
        assert "Train nevertheless" in screen_text(app)
        await pilot.press("enter")
        assert not desk.starts
        assert app.wizard.answer("anyway", "yes") == []
        app.go("review")
        await at(pilot, "review")
        await pilot.press("enter")
        await until(pilot, lambda: app.started)


async def test_a_look_that_failed_is_tried_again(cwd: Path) -> None:
    """It is no obstacle, and `v` asks anew."""
    desk = FakeDesk(facts={"check": Problem("helper_died", {"what": "rows", "how": "exit code 9"})})
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "data")
        await until(pilot, lambda: "could not be checked now" in " ".join(screen_text(app).split()))
        desk.facts["check"] = look()
        await pilot.press("v")
        await until(pilot, lambda: "Checked 78 rows" in screen_text(app))


async def test_name_and_maker_are_changed_in_the_form(cwd: Path) -> None:
    """`a` opens the names of the sample."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await checked(pilot, app)
        await pilot.press("a", "down", "enter")
        await pilot.press(*["backspace"] * 4, *"Ada", "enter")
        assert app.wizard.project().fill == {"name": "Ada"}
        assert "Ada" in screen_text(app)


async def test_columns_show_what_they_hold(cwd: Path) -> None:
    """A name like c2 says nothing; its first value does. The chosen ones are previewed at once."""
    (cwd / "mine.csv").write_text("title,body\na,b\n")

    def found(options: dict[str, str]) -> Any:
        turns = [("user", "a title"), ("assistant", "a body")] if len(options) == 2 else []
        return file_facts(options) | {"preview": turns}

    facts = {"datasets": {"registered": [], "files": ["mine.csv"]}, f"data:{cwd / 'mine.csv'}": found}
    app = app_of(cwd, FakeDesk(facts=facts))
    async with app.run_test(size=(80, 24)) as pilot:
        await reach(pilot, app, "data")
        await pilot.press("2", "enter")
        await until(pilot, lambda: app.screen.query_one("#rows").has_focus)
        await pilot.press("enter")
        assert "a title" in screen_text(app)
        await pilot.press("2", "enter")
        await at(pilot, "data")
        await until(pilot, lambda: app.screen.query_one(Form).current == "map_response")  # which is wanting still
        await pilot.press("enter", "3", "enter")
        await until(pilot, lambda: "Answer (this is learned): a body" in screen_text(app))
        assert app.screen.query_one(Form).current == GO


@pytest.mark.parametrize("size", ((80, 24), (60, 20)))
@pytest.mark.parametrize("text", (ALL, LONG[:20_000]), ids=("everything", "long"))
async def test_rows_and_reports_of_foreign_text(text: str, size: tuple[int, int], cwd: Path) -> None:
    """Whatever stands in the rows, nothing of it reaches the terminal as a command."""
    found = look(Problem("rows_repeated", {"duplicates": 9, "rows": 9, "times": 9, "repeated": text}), repeated=text)
    found["rows"] = [row(1, question=text, answer=text).as_dict()]
    app = app_of(cwd, FakeDesk(facts={"check": found}))
    async with app.run_test(size=size) as pilot:
        await reach(pilot, app, "data")
        await until(pilot, lambda: "Checked 78 rows" in screen_text(app))
        for keys in (("v", "end", "escape"), ("r", "end", "t", "end", "escape")):
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
                shown = screen_text(app)
                assert not set(shown) & set("\x1b\x07\x9b\u202e\u2066"), repr(shown)


def test_marks_without_colour_and_in_ascii() -> None:
    """A screen reader and a monochrome terminal tell the same apart."""
    view = row(4, question="Who  are\n    you?")
    assert row_lines(view, 40) == [
        Line("  <|im_start|>user", False),
        Line("  Who  are", False),
        Line("      you?<|im_end|>", False),
        Line("  ", False),
        Line("┃ I am Lumi.<|im_end|>", True),
    ]
    assert row_lines(view, 40, tokens=True, ascii_only=True)[-1] == Line("| I_am_Lumi.[5] <|im_end|>[4]", True)
    assert row_title(view) == "Row 4 of 78: 5 tokens, 2 of them learnt"
    narrow = row_lines(row(1, question="字" * 50), 30)
    assert all(len(line.text) <= 16 for line in narrow[1:3])


def test_what_was_cut_or_left_out_is_said() -> None:
    """How much, of what, and why."""
    cut = replace(row(1), tokens_cut=9, answer_cut=True, end_lost=True)
    assert row_facts(cut, 512) == [
        "Cut: 9 tokens, part of an answer and its end mark among them (cutoff_len is 512)",
    ]
    assert row_facts(replace(cut, end_lost=False)) == ["Cut: 9 tokens, part of an answer among them"]
    assert row_facts(replace(cut, end_lost=False, answer_cut=False)) == ["Cut: 9 tokens"]
    out = RowView(1, 2, "a.csv:2", None, problem=Problem("no_rows"))
    assert row_facts(out)[0].startswith("This row is left out: ") and row_lines(out, 80) == []
    masked = replace(row(1), row=SampleRow(1, 1, 3, 0, (Stretch(False, (((1,), "a"),)),)))
    assert row_facts(masked) == ["Nothing of this row is learnt."]


def test_long_rows_say_what_is_not_shown() -> None:
    """In the middle of a stretch, and between stretches."""
    stretch = Stretch(True, (((1,), "a"),), 500, (((2,), "z"),))
    view = replace(row(1), row=SampleRow(1, 1, 502, 502, (stretch, stretch), 7, 1))
    shown = [line.text for line in row_lines(view, 40)]
    assert shown == ["┃ a", "┃ … 500 tokens …", "┃ z", "  … 7 more stretches …", "┃ a", "┃ … 500 tokens …", "┃ z"]


def test_the_report_in_ascii_and_chinese() -> None:
    """Bars and words in either."""
    from engine.data.review import Review

    found = look()
    inspection = Inspection(Review.from_dict(found["review"]), rows_of(found), 20, ())
    words = report_words(inspection, 76, ascii_only=True)
    assert words.isascii() is False or "█" not in words
    assert "####" in words and "its first 20 rows" in words
    assert all(len(line) <= 76 for line in words.split("\n"))
    before = language()
    set_language("zh")
    assert "78" in report_words(inspection, 60)
    set_language(before)
    nothing = Inspection(None, (), None, (Problem("no_rows"),))
    assert report_words(nothing, 60).startswith("error: ")
