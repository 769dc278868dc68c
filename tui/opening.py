"""Opens the wizard: full screen where the terminal can, prompts where it cannot; last words on the normal screen."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from engine.errors import EXIT_OK, ConfigError, Problem
from engine.runs.folder import RunFolder
from engine.wizard.desk import ProcessDesk
from engine.wizard.session import Wizard
from tui.term import TerminalProfile, prepare
from tui.words import choose_language, set_language


def open_wizard(*, plain: bool, lang: str | None, ascii_only: bool, theme: str | None = None) -> int:
    """Ask, write, start and watch. Returns the exit code.

    Raises ConfigError where there is no terminal or no such language, and whatever the wizard could not survive.
    """
    set_language(choose_language(lang, os.environ))
    if not _is_terminal(sys.stdin) or not (_is_terminal(sys.stderr) or _is_terminal(sys.stdout)):
        raise ConfigError(Problem("nobody_to_ask"))
    profile = _profile(ascii_only, theme)
    wizard, desk = Wizard(Path.cwd()), ProcessDesk()
    if plain or not profile.full_screen:
        from tui.plain import run_plain

        return run_plain(wizard, desk)
    return _full_screen(wizard, desk, profile)


def open_run(run: RunFolder, *, lang: str | None, ascii_only: bool, theme: str | None = None) -> int:
    """Watch a run on the full screen, else in lines. Returns the exit code."""
    set_language(choose_language(lang, os.environ))
    profile = _profile(ascii_only, theme)
    if not profile.full_screen:
        from tui.attaching import attach

        return attach(run)
    return _full_screen(Wizard(Path.cwd()), ProcessDesk(), profile, run=run)


def _full_screen(wizard: Wizard, desk: ProcessDesk, profile: TerminalProfile, *, run: RunFolder | None = None) -> int:
    prepare(profile, os.environ)
    gc.disable()  # nothing of what is loaded now can go; `warm` enables it
    from tui.app import WizardApp

    app = WizardApp(wizard, desk, profile=profile, run=run)
    try:
        app.run(mouse=profile.mouse)
    finally:
        gc.enable()
        desk.cancel()
        app.keep_draft()
        _tell(app.last_words())
    if app.crash is not None:
        raise app.crash
    return app.return_code or EXIT_OK


def _profile(ascii_only: bool, theme: str | None) -> TerminalProfile:
    stdin, stderr = _is_terminal(sys.stdin), _is_terminal(sys.stderr)
    encoding = sys.stderr.encoding if stderr else "ascii"
    return TerminalProfile.of(
        os.environ, stdin=stdin, stderr=stderr, encoding=encoding, ascii_only=ascii_only, theme=theme
    )


def _is_terminal(stream: TextIO | None) -> bool:
    """A stream that was closed before we came is None."""
    return stream is not None and stream.isatty()


def _tell(lines: Sequence[str]) -> None:
    """On stderr; after a hang-up nobody is there to read it."""
    with contextlib.suppress(OSError, ValueError):
        for line in lines:
            print(line, file=sys.stderr)
        sys.stderr.flush()
