"""Every screen as plain text, at every size, in both languages. `make golden` records them anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pilot.every import EVERY, SIZES, opened, settled, steady
from tests.pilot.fakes import PROFILE
from tui.words import LANGUAGES, set_language

Compare = Callable[[str, str, str], None]
ASCII = replace(PROFILE, ascii_only=True)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", EVERY)
async def test_the_screen_is_as_recorded(name: str, language: str, cwd: Path, golden: Compare) -> None:
    """A person sees what was meant, in either language, without a line that is cut or a word that is missing."""
    set_language(language)
    shown = []
    async with opened(name, cwd) as (pilot, _app):
        for columns, rows in SIZES:
            await pilot.resize_terminal(columns, rows)
            shown.append(f"── {columns} × {rows} ──\n{await settled(pilot)}")
    async with opened(name, cwd, profile=ASCII) as (pilot, _app):
        shown.append(f"── --ascii ──\n{await settled(pilot)}")
    golden(language, name, steady("".join(shown)))
