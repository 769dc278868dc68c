"""The frame of every screen: the terminal's cursor, the footer, what closes, and what is ours instead of Textual's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from tests.pilot.every import opened
from tests.pilot.fakes import settled
from tui.screens import StepScreen
from tui.screens.modal import Modal
from tui.widgets.footer import Footer, footer_lines
from tui.widgets.picker import Picker


async def test_the_palette_of_textual_does_not_open(cwd: Path) -> None:
    """Its commands are in English, and none of them is ours."""
    async with opened("model", cwd) as (pilot, app):
        screen: Any = app.screen
        await pilot.press("ctrl+p", "ctrl+backslash")
        await settled(pilot)
        assert app.screen is screen


async def test_the_terminals_cursor_is_at_the_letter_that_is_typed(cwd: Path) -> None:
    """Chinese is typed with a window of candidates beside the cursor: it must not lie a cell away, or at the list."""
    async with opened("settings", cwd) as (pilot, app):
        app.screen.query_one("#rows", Picker).move_to("project")
        await pilot.press("enter")
        field = app.focused
        assert isinstance(field, Input)
        start = field.content_region.x
        for value, cells in (("", 0), ("ab", 2), ("模型a", 5)):
            field.value = value
            field.cursor_position = len(value)
            await pilot.pause()
            assert (app.cursor_position.x, app.cursor_position.y) == (start + cells, field.content_region.y)
        await pilot.press("left", "left")
        assert app.cursor_position.x == start + 2
        await pilot.press("escape")
        assert isinstance(app.focused, Picker)
        assert app.cursor_position.y == app.focused.content_region.y + app.focused.place - app.focused.scroll_offset.y


@pytest.mark.parametrize("name", ["leaving", "help"])
async def test_a_key_that_is_struck_twice_closes_once(name: str, cwd: Path) -> None:
    """The second would close the step below and leave an empty screen."""
    async with opened(name, cwd) as (pilot, app):
        dialog = app.screen
        assert isinstance(dialog, Modal)
        dialog.dismiss()
        dialog.dismiss()
        await settled(pilot)
        assert isinstance(app.screen, StepScreen)


def test_the_footer_lets_go_of_the_least_important_keys() -> None:
    """Where two lines are too little, help stays: it tells them all."""
    keys = [("Enter", "go on"), ("Esc", "back"), ("a", "all of the settings"), ("?", "help"), ("Ctrl+Q", "leave")]
    assert footer_lines(keys, 80) == ["Enter go on  Esc back  a all of the settings  ? help  Ctrl+Q leave"]
    assert footer_lines(keys, 60) == ["Enter go on  Esc back  a all of the settings  ? help", "Ctrl+Q leave"]
    assert footer_lines(keys, 24) == ["Enter go on  Esc back", "? help"]
    assert footer_lines(keys, 1) == ["Enter go on", "? help"]


def test_the_footer_of_a_pane_keeps_the_way_out() -> None:
    """Help is not among its keys: whoever does not know that Esc leads back is caught."""
    footer = Footer(pane=True)
    footer.keys = (("Enter", "open"), ("←", "one up"), ("letters", "filter"), (".", "hidden"), ("Esc", "cancel"))
    assert footer.lines(40) == ["Enter open  ← one up  letters filter", ". hidden  Esc cancel"]
    assert footer.lines(24) == ["Enter open  ← one up", "Esc cancel"]
    assert footer.lines(1) == ["Enter open", "Esc cancel"]
