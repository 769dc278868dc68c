"""Names and texts of foreign origin, on every screen: nothing is markup, nothing reaches the terminal as a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.pilot.every import EVERY, SIZES, opened
from tests.pilot.fakes import resized, settled
from tests.pilot.foreign import ALL, CONTROLS, HOSTILE, LONG, SHORT
from tui.widgets.field import Field
from tui.widgets.form import Form
from tui.widgets.picker import Picker


def assert_harmless(shown: str, columns: int) -> None:
    """Every letter is one that can be seen, and no line is wider than the window."""
    found = CONTROLS & set(shown.replace("\n", ""))
    assert not found, [hex(ord(sign)) for sign in found]
    assert not any(0xD800 <= ord(sign) < 0xE000 for sign in shown)
    assert all(cell_len(line) <= columns for line in shown.split("\n"))


# One of each kind of widget, with a tenth of the text; all of them with all of it take minutes.
SAMPLED = ("start_again", "model_folder", "data_rows", "settings", "review_differences", "run_bad_data", "chat", "runs")
SPOILT = [pytest.param(name, SHORT, id=f"{name}-short") for name in SAMPLED]
SPOILT += [pytest.param(name, LONG, id=name, marks=pytest.mark.slow) for name in EVERY]


@pytest.mark.parametrize(("name", "text"), SPOILT)
async def test_text_from_outside_is_text(name: str, text: str, cwd: Path) -> None:
    """In names, rows, answers, log lines and problems, of over 100 kB."""
    async with opened(name, cwd, foreign=text) as (pilot, app):
        for columns, rows in (SIZES[0], SIZES[-1]):
            assert_harmless(await resized(pilot, columns, rows), columns)
        assert app.crash is None


async def test_what_is_typed_is_text(cwd: Path) -> None:
    """Each kind, as the name of a folder: it is taken or refused in place."""
    async with opened("settings", cwd) as (pilot, app):
        form, rows = app.screen.query_one(Form), app.screen.query_one("#rows", Picker)
        for text in HOSTILE.values():
            rows.move_to("project")
            await pilot.press("enter")
            assert form.editing
            app.screen.query_one("#typing", Field).value = text
            await pilot.press("enter")
            assert_harmless(await settled(pilot), 80)
            if form.editing:
                await pilot.press("escape")
            assert_harmless(await settled(pilot), 80)


async def test_what_is_pasted_is_cleaned(cwd: Path) -> None:
    """A paste may hold anything."""
    async with opened("settings", cwd) as (pilot, app):
        app.screen.query_one("#rows", Picker).move_to("project")
        await pilot.press("enter")
        field = app.screen.query_one("#typing", Field)
        field.insert_text_at_cursor(ALL)
        assert_harmless(await settled(pilot), 80)
        assert not (CONTROLS - {"\n", "\t"}) & set(field.value)
