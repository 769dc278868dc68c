"""Terminals without colours, or with sixteen: what is written must be readable on any background."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.pilot.fakes import PROFILE, app_of, at


async def test_without_colours_the_terminal_s_own_two_are_used(cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR once drew black on black."""
    monkeypatch.setenv("NO_COLOR", "1")
    app = app_of(cwd, profile=replace(PROFILE, colours=None))
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")
        styles = [segment.style for strip in app.screen._compositor.render_strips() for segment in strip]
        colours = [colour for style in styles if style for colour in (style.color, style.bgcolor) if colour]
        assert all(colour.is_default for colour in colours)
