"""A run's whole log in the person's pager, or in a pane where there is none."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported

from engine.runs.logs import LogReader, plain_lines
from tui.screens.pane import TextPane
from tui.words import _

PIECE = 1 << 20  # bytes read at a time: a log may be of any size
SHOWN = 64 << 10  # bytes of its end that a pane shows
# No shell, no other files, no editor out of it; and no options of the person's that would let control bytes through.
SECURE = {"LESSSECURE": "1", "LESSHISTFILE": "-"}
OPTIONS = ("LESS", "LESSOPEN", "LESSCLOSE", "LESSKEY", "LESSKEYIN", "LESSKEYIN_SYSTEM", "LESSKEY_SYSTEM")


def show_log(app: App[Any], log: Path, find: Callable[[str], str | None] = shutil.which) -> None:
    """Open it at its end, and come back when the pager is closed. The app draws nothing meanwhile; the run goes on."""
    pager = find("less")
    if pager is not None and log.exists() and log.stat().st_size:
        with contextlib.suppress(SuspendNotSupported), app.suspend():
            page(pager, log)
            return
    app.push_screen(TextPane(_("The end of {path}").format(path=log), log_end(log)))


def page(pager: str, log: Path) -> None:
    """`less` without -R on the cleaned text. What it leaves unread is not written to it."""
    environment = {name: value for name, value in os.environ.items() if name not in OPTIONS} | SECURE
    process = subprocess.Popen([pager, "-M", "+G"], stdin=subprocess.PIPE, env=environment)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as stream:
        for piece in pieces(log):
            stream.write(piece)
    process.wait()


def pieces(log: Path) -> Iterator[bytes]:
    """The log as plain text, as much of it as there is now."""
    reader = LogReader(log)
    while lines := reader.poll(most=PIECE):
        yield "".join(f"{line}\n" for line in lines).encode()
    yield "".join(f"{line}\n" for line in reader.poll(ended=True)).encode()


def log_end(log: Path) -> str:
    """Its last lines."""
    with contextlib.suppress(OSError), log.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - SHOWN))
        return "\n".join(plain_lines(stream.read())) or _("Nothing was written there so far.")
    return _("There is no log.")
