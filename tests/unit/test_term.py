"""What a terminal can do, told by the environment."""

from __future__ import annotations

import os
import pty

import pytest

from tui.term import TRUE_COLOURS, TerminalProfile, prepare, terminal_gone

XTERM = {"TERM": "xterm-256color"}


def profile(environ: dict[str, str], *, tty: bool = True, encoding: str = "utf-8", **more: bool) -> TerminalProfile:
    return TerminalProfile.of(environ, stdin=tty, stderr=tty, encoding=encoding, **more)


@pytest.mark.parametrize(
    ("environ", "tty", "obstacle"),
    [
        (XTERM, True, ""),
        ({}, True, ""),
        ({"TERM": "dumb"}, True, "dumb"),
        (XTERM | {"ACCESSIBLE": "1"}, True, "accessible"),
        (XTERM | {"ACCESSIBLE": "0"}, True, ""),
        (XTERM, False, "no_terminal"),
    ],
)
def test_where_the_wizard_cannot_draw_it_asks_in_lines(environ: dict[str, str], tty: bool, obstacle: str) -> None:
    found = profile(environ, tty=tty)
    assert (found.full_screen, found.obstacle) == (not obstacle, obstacle)


@pytest.mark.parametrize(
    ("environ", "colours", "plain"),
    [
        (XTERM, 256, True),
        (XTERM | {"COLORTERM": "truecolor"}, TRUE_COLOURS, True),
        ({"TERM": "xterm"}, 16, True),
        ({"TERM": "linux"}, 16, True),
        (XTERM | {"NO_COLOR": "1"}, None, True),
        (XTERM | {"NO_COLOR": ""}, 256, True),
        (XTERM | {"SFT_WIZARD_THEME": "dark"}, 256, False),
        (XTERM | {"SFT_WIZARD_THEME": "dark", "NO_COLOR": "1"}, None, True),
    ],
)
def test_the_terminals_own_colours_where_there_are_few_or_none_are_wanted(
    environ: dict[str, str], colours: int | None, plain: bool
) -> None:
    found = profile(environ)
    assert (found.colours, found.plain_theme) == (colours, plain)


def test_over_ssh_the_screen_is_drawn_less_often_and_the_mouse_left_alone() -> None:
    """The terminal's own selection and copy work, and a slow link is not filled."""
    local, far = profile(XTERM), profile(XTERM | {"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"})
    assert (local.tick, local.mouse) == (0.5, True)
    assert (far.tick, far.mouse) == (1.0, False)


def test_ascii_where_other_glyphs_cannot_be_shown() -> None:
    assert not profile(XTERM).ascii_only
    assert profile(XTERM, ascii_only=True).ascii_only
    assert profile(XTERM, encoding="ascii").ascii_only
    assert profile({"TERM": "linux"}).ascii_only


def test_nothing_moves_by_itself() -> None:
    environ: dict[str, str] = {}
    prepare(profile(XTERM), environ)
    assert environ == {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_SMOOTH_SCROLL": "0"}


def test_a_width_that_a_script_exported_does_not_hold_the_screen() -> None:
    """With COLUMNS in its environment Textual never follows the window."""
    environ = {"COLUMNS": "80", "LINES": "24"}
    prepare(profile(XTERM), environ)
    assert not environ.keys() & {"COLUMNS", "LINES"}


def test_a_terminal_that_hung_up_is_noticed() -> None:
    master, terminal = pty.openpty()
    assert not terminal_gone(terminal)
    os.close(master)
    assert terminal_gone(terminal)
    os.close(terminal)
    read, write = os.pipe()
    assert not terminal_gone(read)
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    ("environ", "wish", "theme"),
    [
        ({}, None, "ansi-dark"),  # a terminal that does not say: its own colours are readable on its own background
        ({"COLORFGBG": "15;0"}, None, "textual-dark"),
        ({"COLORFGBG": "0;default;15"}, None, "textual-light"),
        ({"COLORFGBG": "0;default"}, None, "ansi-dark"),
        ({"COLORFGBG": "15;0"}, "light", "textual-light"),
        ({"SFT_WIZARD_THEME": "light"}, None, "textual-light"),
        ({"SFT_WIZARD_THEME": "light"}, "ansi", "ansi-dark"),
        ({"SFT_WIZARD_THEME": "pink"}, None, "ansi-dark"),
        ({"TERM": "linux"}, "light", "ansi-light"),
        ({"NO_COLOR": "1"}, "dark", "ansi-dark"),
    ],
)
def test_the_theme_is_the_one_that_is_wished_or_the_terminals_own(
    environ: dict[str, str], wish: str | None, theme: str
) -> None:
    """Nobody can tell a dark terminal from a light one but the terminal, and few do."""
    found = TerminalProfile.of(XTERM | environ, stdin=True, stderr=True, encoding="utf-8", theme=wish)
    assert found.theme == theme
