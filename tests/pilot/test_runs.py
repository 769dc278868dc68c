"""The list of runs and their comparison."""

from __future__ import annotations

import math
from pathlib import Path

from engine.errors import Problem
from engine.runs import index
from tests.pilot.every import opened
from tests.pilot.fakes import app_of, screen_text, started, until
from tests.unit.run_shelf import shelve
from tui import ways
from tui.app import WizardApp
from tui.screens.comparing import CompareScreen
from tui.screens.runs import RunsScreen, RunsUnread
from tui.widgets.curves import CurvesChart, draw_curves

STEPS = range(1, 121)
CURVES = [[(step, 0.4 + 0.1 * place + 2 * math.exp(-step / 40)) for step in STEPS] for place in range(4)]


async def test_runs_are_marked_compared_and_opened(cwd: Path) -> None:
    """From the list to the comparison, back with the marks, and into one of them; Esc leads back each time."""
    for name, rank in (("one", 8), ("two", 16), ("three", 8)):
        index.note(shelve(cwd / name, name=name, settings={"lora_rank": rank}))
    app = app_of(cwd)
    async with app.run_test(size=(80, 40)) as pilot:
        await started(pilot)
        ways.list_runs(app)
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.done)
        await pilot.press("c")
        await until(pilot, lambda: "Mark two to 4 runs" in screen_text(app))
        await pilot.press("space", "down", "space")
        await until(pilot, lambda: screen_text(app).count("[x]") == 2)
        assert "(2 of 4)" in screen_text(app)
        await pilot.press("c")
        await until(pilot, lambda: "lora_rank" in screen_text(app))
        assert "learning_rate" not in screen_text(app) and "2 runs compared" in screen_text(app)
        assert app.screen.query_one(CurvesChart).display
        await pilot.press("c", "r")
        await until(pilot, lambda: "linear" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.done)
        assert screen_text(app).count("[x]") == 2
        await pilot.press("space")
        await until(pilot, lambda: screen_text(app).count("[x]") == 1)
        await pilot.press("enter")
        await until(pilot, lambda: app.at == "training" and app.snapshot)
        assert app.run_folder and app.run_folder.title == "three"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.run_folder is None)
        await pilot.press("escape")
        await started(pilot)


async def test_no_more_are_marked_than_can_be_told_apart(cwd: Path) -> None:
    """The fifth is refused with what to do."""
    async with opened("runs", cwd) as (pilot, app):
        await pilot.press("space", "down", "space", "down", "space")
        await until(pilot, lambda: "unmark one first" in screen_text(app))
        assert screen_text(app).count("[x]") == 4
        await pilot.press("up")
        assert "unmark" not in screen_text(app)


async def test_a_list_that_is_empty_or_cannot_be_read_says_so(cwd: Path) -> None:
    """Nothing to mark, nothing to open, and nothing breaks."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        ways.list_runs(app)
        await until(pilot, lambda: "There are no runs yet." in screen_text(app))
        await pilot.press("space", "enter", "down")
        app.screen.post_message(RunsUnread((Problem("no_runs"),)))
        await until(pilot, lambda: "! " in screen_text(app))


async def test_a_comparison_of_nothing_has_no_picture(cwd: Path) -> None:
    """Runs that failed before their first step are compared by their settings."""
    runs = [shelve(cwd / name, steps=0, settings={"lora_rank": rank}) for name, rank in (("a", 8), ("b", 16))]
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        ways.compare(app, runs, "")
        await until(pilot, lambda: "None of them has trained a step." in screen_text(app))
        assert "lora_rank" in screen_text(app) and not app.screen.query_one(CurvesChart).display


async def test_what_is_longer_than_the_screen_is_scrolled_to(cwd: Path) -> None:
    """At 60 × 20 the settings that differ lie below."""
    async with opened("runs_compared", cwd, size=(60, 20)) as (pilot, app):
        assert isinstance(app.screen, CompareScreen) and "learning_rate" not in screen_text(app)
        for _line in range(20):
            await pilot.press("down")
        await until(pilot, lambda: "packing" in screen_text(app))


async def test_finish_leads_to_the_list_and_back(cwd: Path) -> None:
    """Beside the runs of earlier the newest is judged."""
    async with opened("finish", cwd) as (pilot, app):
        assert isinstance(app, WizardApp)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.at == "finish")


def test_curves_are_told_apart_without_colours() -> None:
    """Each line bears its letter, and ends with it beside its last value."""
    for ascii_only in (False, True):
        lines = draw_curves(CURVES, 76, 40, ascii_only)
        assert len(lines) == 40 and all(len(line) <= 76 for line in lines)
        for letter, points in zip("ABCD", CURVES, strict=True):
            assert sum(letter in line for line in lines[:-1]) >= 3, letter
            assert any(line.endswith(f"{letter} {points[-1][1]:.4g}") for line in lines), letter
        assert all(line.isascii() for line in lines) is ascii_only
        assert lines[-1].split() == ["1", "120"]


def test_lines_that_lie_on_each_other_take_turns() -> None:
    """Two equal runs are both seen."""
    for ascii_only in (False, True):
        drawn = "".join(draw_curves([CURVES[0], CURVES[0]], 76, 10, ascii_only))
        assert drawn.count("A") > 3 and drawn.count("B") > 3


def test_odd_curves_are_drawn() -> None:
    """None, one point, one value, and losses that no logarithm takes."""
    assert draw_curves([], 76, 10, True) == [] and draw_curves([[]], 76, 10, True) == []
    assert draw_curves([CURVES[0]], 10, 10, True) == []
    assert any("A" in line for line in draw_curves([[(5, 1.0)]], 76, 10, False))
    assert any("B" in line for line in draw_curves([[], [(1, 1.0), (9, 1.0)]], 76, 10, True))
    assert draw_curves([[(1, 0.0), (2, -1.0)]], 76, 10, True, log_scale=True) == []
    assert draw_curves([CURVES[0]], 76, 10, True, log_scale=True) != draw_curves([CURVES[0]], 76, 10, True)
