"""Every screen at every size, in both languages: nothing is cut, no key is lost, and it is as recorded.

`make golden` records them anew: read the difference before you commit it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.binding import Binding
from textual.widget import Widget

from tests.pilot.every import EVERY, SIZES, TOO_SMALL, opened, steady
from tests.pilot.fakes import PROFILE, resized, settled
from tui.app import WizardApp
from tui.screens import StepScreen
from tui.widgets.footer import Footer, footer_lines
from tui.words import LANGUAGES, set_language

Compare = Callable[[str, str, str], None]
ASCII = replace(PROFILE, ascii_only=True)
MOST_KEYS = 6


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", EVERY)
async def test_every_size_shows_what_matters(name: str, language: str, cwd: Path, golden: Compare) -> None:
    """From 80 × 24 to what is too small and back: no line that is cut, no key that is lost, and all is there again."""
    set_language(language)
    recorded = []
    async with opened(name, cwd) as (pilot, app):
        for columns, rows in SIZES:
            shown = await resized(pilot, columns, rows)
            within(shown, columns, rows)
            keys_told(app, columns)
            cursor_follows(app)
            assert "--plain" not in shown
            recorded.append(f"── {columns} × {rows} ──\n{shown}")
        for columns, rows in (TOO_SMALL, (5, 2)):
            shown = await resized(pilot, columns, rows)
            within(shown, columns, rows)
            assert "--plain" in shown or columns == 5 or not isinstance(app.screen, StepScreen)
        assert words_of(await resized(pilot, *SIZES[0])) == words_of(recorded[0].partition("──\n")[2])
        if language != "en":
            for words in words_of_textual([app.screen, *app.screen.query("*")]):
                assert words not in shown, words
    golden(language, name, steady("".join(recorded)))


@pytest.mark.parametrize("name", EVERY)
async def test_ascii_is_enough(name: str, cwd: Path, golden: Compare) -> None:
    """A terminal without other characters shows everything, but for names that hold them."""
    async with opened(name, cwd, profile=ASCII) as (pilot, _app):
        shown = await settled(pilot)
    others = {sign for sign in shown.replace(LANGUAGES["zh"], "") if not sign.isascii()}
    assert not others
    golden("ascii", name, steady(shown))


def within(shown: str, columns: int, rows: int) -> None:
    """Nothing is wider or longer than the window; a wide character counts two."""
    lines = shown.rstrip("\n").split("\n")
    assert len(lines) <= rows
    assert [line for line in lines if cell_len(line) > columns] == []


def keys_told(app: WizardApp, columns: int) -> None:
    """At most six keys of the screen's own, and all of them are seen."""
    screen = app.screen
    if not isinstance(screen, StepScreen) or screen.editing:
        return
    assert len(screen.hints()) <= MOST_KEYS
    keys = screen.keys()
    lines = footer_lines(keys, columns - 2)
    told = "  ".join(lines)
    assert all(f"{key} {words}" in told for key, words in keys), (columns, told)
    drawn = screen.query_one(Footer)
    assert drawn.size.height == len(lines)


def cursor_follows(app: WizardApp) -> None:
    """The terminal's cursor stands in what has the keys, and on the screen."""
    focused, at = app.focused, app.cursor_position
    if focused is not None and focused.size:
        assert focused.region.contains(*at), (focused, at)
    assert app.size.region.contains(*at)


def words_of_textual(widgets: list[Widget]) -> set[str]:
    """What Textual itself would say of these widgets: descriptions of keys, prompts, hints."""
    said = set()
    for widget in widgets:
        theirs = [base for base in type(widget).__mro__ if base.__module__.startswith("textual.")]
        for bindings in (vars(base).get("BINDINGS", ()) for base in theirs):
            said |= {binding.description for binding in bindings if isinstance(binding, Binding)}
        said |= {str(getattr(widget, name, "") or "") for name in ("tooltip", "border_title", "border_subtitle")}
    return {words for words in said if len(words) > 3 and words.isascii()}


def words_of(shown: str) -> list[str]:
    """All that is said; a list may be scrolled otherwise than before."""
    return sorted(re.sub("[▁▂▃▄▅▆▇]", "", steady(shown)).split())
