"""A real terminal for tests: a private tmux server, keys in, the screen out."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from types import TracebackType

import pytest

TMUX = shutil.which("tmux")
needs_tmux = pytest.mark.skipif(TMUX is None and not os.environ.get("CI"), reason="tmux is not installed")


class Terminal:
    """A context manager around one command in a terminal of its own. A shell stays behind it to show its last words."""

    def __init__(self, command: list[str], cwd: Path, environment: dict[str, str], columns: int = 80, rows: int = 24):
        self.server = f"sft-{uuid.uuid4().hex[:12]}"
        self.command, self.cwd, self.environment = command, cwd, environment
        self.size = (columns, rows)

    def __enter__(self) -> Terminal:
        said = shlex.join(self.command) + '; echo "exit code $?"; exec sleep 3600'
        kept = {**self.environment, "LC_ALL": "C.UTF-8"}
        self._tmux(
            *("new-session", "-d", "-x", str(self.size[0]), "-y", str(self.size[1]), "-c", str(self.cwd)),
            *(part for name, value in kept.items() for part in ("-e", f"{name}={value}")),
            *("sh", "-c", said),
        )
        self._tmux("set-option", "-g", "history-limit", "5000")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.screen())
        subprocess.run(self._command("kill-server"), capture_output=True)

    def keys(self, *names: str) -> None:
        """Press keys, by tmux's names: Enter, Escape, Down, C-c, or text."""
        for name in names:
            self._tmux("send-keys", name)
            time.sleep(0.05)  # an Escape that is followed at once would be read as Alt

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._tmux("send-keys", "-l", text)

    def screen(self) -> str:
        """What stands on the screen."""
        return self._tmux("capture-pane", "-p")

    def wait(self, *texts: str, seconds: float = 60, gone: str = "") -> str:
        """The screen as soon as it shows every one of `texts`, and no longer `gone`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            shown = self.screen()
            if all(text in shown for text in texts) and not (gone and gone in shown):
                return shown
            time.sleep(0.1)
        raise AssertionError(f"waited for {texts} (gone: {gone!r}) in vain:\n{self.screen()}")

    def resize(self, columns: int, rows: int) -> None:
        """Another size of the window."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def hang_up(self) -> None:
        """The connection is lost: the terminal goes away under the program."""
        subprocess.run(self._command("kill-server"), capture_output=True)

    def pid(self) -> int:
        """Of the shell that runs the command."""
        return int(self._tmux("display-message", "-p", "#{pane_pid}"))

    def _command(self, *arguments: str) -> list[str]:
        assert TMUX is not None
        return [TMUX, "-L", self.server, "-f", "/dev/null", *arguments]

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            self._command(*arguments), capture_output=True, text=True, env={**os.environ, "TERM": "xterm-256color"}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
