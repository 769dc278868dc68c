"""What the terminal can do, from the environment alone: Textual is imported only after this has been decided."""

from __future__ import annotations

import errno
import termios
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from tui.themes import chosen_theme

TRUE_COLOURS = 1 << 24


@dataclass(frozen=True)
class TerminalProfile:
    """full_screen: whether the wizard can draw; `obstacle` says why not: no_terminal, dumb, accessible.

    colours: how many, None where none are wanted. ascii_only: no glyphs beyond ASCII for marks and lines.
    tick: seconds between two refreshes. mouse: taken over SSH as well, it would keep the terminal's own selection away.
    theme: what Textual calls its colours.
    """

    full_screen: bool
    obstacle: str
    colours: int | None
    ssh: bool
    unicode: bool
    ascii_only: bool
    tick: float
    mouse: bool
    theme: str = "textual-dark"

    @property
    def plain_theme(self) -> bool:
        """Whether the terminal's own colours are used: NO_COLOR takes effect only with them."""
        return self.theme.startswith("ansi")

    @classmethod
    def of(
        cls,
        environ: Mapping[str, str],
        *,
        stdin: bool,
        stderr: bool,
        encoding: str,
        ascii_only: bool = False,
        theme: str | None = None,
    ) -> TerminalProfile:
        """`stdin` and `stderr`: whether they are terminals. Keys come from the one, Textual draws on the other.

        theme: the one that is wished.
        """
        term = environ.get("TERM", "")
        obstacle = ""
        if not (stdin and stderr):
            obstacle = "no_terminal"
        elif term == "dumb":
            obstacle = "dumb"
        elif environ.get("ACCESSIBLE", "") not in ("", "0"):
            obstacle = "accessible"
        ssh = bool(environ.get("SSH_CONNECTION"))
        unicode = encoding.lower().replace("-", "").replace("_", "") == "utf8" and term != "linux"
        return cls(
            full_screen=not obstacle,
            obstacle=obstacle,
            colours=_colours(environ, term),
            ssh=ssh,
            unicode=unicode,
            ascii_only=ascii_only or not unicode,
            tick=1.0 if ssh else 0.5,
            mouse=not ssh,
            theme=chosen_theme(environ, _colours(environ, term), theme),
        )


def prepare(profile: TerminalProfile, environ: MutableMapping[str, str]) -> None:
    """Set what Textual reads when it is imported: nothing moves by itself, and the size is the terminal's.

    Where a script exported COLUMNS, the screen would keep that width however the window is changed.
    """
    environ.pop("COLUMNS", None)
    environ.pop("LINES", None)
    environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
    if profile.ssh:
        environ.setdefault("TEXTUAL_FPS", "20")


def terminal_gone(fd: int = 2) -> bool:
    """Whether the terminal that was there has hung up: a lost connection, a closed window."""
    try:
        termios.tcgetattr(fd)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    return False


def _colours(environ: Mapping[str, str], term: str) -> int | None:
    if environ.get("NO_COLOR"):
        return None
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return TRUE_COLOURS
    return 256 if "256color" in term else 16
