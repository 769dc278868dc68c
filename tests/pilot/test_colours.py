"""Terminals without colours, or with sixteen: what is written must be readable on any background."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.color import Color

from tests.pilot.every import EVERY, opened
from tests.pilot.fakes import PROFILE, app_of, at


async def test_without_colours_the_terminal_s_own_two_are_used(cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR once drew black on black."""
    monkeypatch.setenv("NO_COLOR", "1")
    app = app_of(cwd, profile=replace(PROFILE, colours=None, theme="ansi-dark"))
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, "hardware")
        styles = [segment.style for strip in app.screen._compositor.render_strips() for segment in strip]
        colours = [colour for style in styles if style for colour in (style.color, style.bgcolor) if colour]
        assert all(colour.is_default for colour in colours)


LEAST = 4.5  # contrast that text needs (WCAG AA)
SAMPLED = [name for name in EVERY if name in ("settings", "review_edited", "run_training", "chat", "help", "leaving")]


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
@pytest.mark.parametrize("name", SAMPLED)
async def test_every_word_stands_out_from_what_is_behind_it(name: str, theme: str, cwd: Path) -> None:
    """Grey on grey is no text for anyone who is tired, old or in the sun."""
    async with opened(name, cwd, profile=replace(PROFILE, theme=theme)) as (_pilot, app):
        assert app.theme == theme
        pale = {
            (segment.text.strip(), round(found, 1))
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style and any(sign.isalnum() for sign in segment.text)
            if (found := contrast(segment.style.color, segment.style.bgcolor)) < LEAST
        }
        assert not pale


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light"])
async def test_sixteen_colours_are_the_terminals_own(theme: str, cwd: Path) -> None:
    """Where we do not know how colours look we name them by their numbers; the page is as the terminal has it."""
    async with opened("review_edited", cwd, profile=replace(PROFILE, colours=16, theme=theme)) as (_pilot, app):
        styles = [segment.style for strip in app.screen._compositor.render_strips() for segment in strip]
        used = {colour for style in styles if style for colour in (style.color, style.bgcolor) if colour}
        assert all(colour.triplet is None for colour in used), used


def contrast(one: Color | None, other: Color | None) -> float:
    """WCAG's ratio of two colours."""
    assert one and other and one.triplet and other.triplet
    light, dark = sorted((luminance(one.triplet.normalized), luminance(other.triplet.normalized)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: tuple[float, float, float]) -> float:
    """Relative luminance of sRGB."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
