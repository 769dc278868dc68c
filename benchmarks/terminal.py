"""A command on a pseudo-terminal of its own: what it writes is counted and timed, and the other end can be lost."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from pathlib import Path
from types import TracebackType


class CountingTerminal:
    """A context manager. received: everything written so far; began: when the command was started.

    The command leads the terminal's session, as a login shell does: it gets SIGHUP when the other end is closed.
    """

    def __init__(self, command: list[str], cwd: Path, **environment: str):
        self.received = b""
        self.code: int | None = None  # exit code, -N after signal N
        kept = {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
        self.began = time.monotonic()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGHUP, signal.SIG_DFL)  # we may run under nohup
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
                os.chdir(cwd)
                os.execve(command[0], command, kept | environment)
            finally:
                os._exit(127)
        os.set_inheritable(self.master, False)
        self.modes_before = self.modes()

    def __enter__(self) -> CountingTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.hang_up()

    def press(self, keys: str) -> None:
        """As if typed."""
        os.write(self.master, keys.encode())

    def signal(self, number: int) -> None:
        """Send the command a signal."""
        os.kill(self.pid, number)

    def resize(self, columns: int, rows: int) -> None:
        """Another size of the window."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        """The connection is lost."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def modes(self) -> list[object]:
        """How the terminal is set: echo, lines, signals of keys."""
        return termios.tcgetattr(self.master)

    def read(self, seconds: float) -> int:
        """How many bytes came within so many seconds."""
        before, end = len(self.received), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._take(left)
        return len(self.received) - before

    def wait(self, text: str, seconds: float = 60, after: int = 0) -> float:
        """Seconds from the command's start until `text` had come, behind the first `after` bytes."""
        end = time.monotonic() + seconds
        while self.received.find(text.encode(), after) < 0:
            if time.monotonic() > end:
                raise TimeoutError(f"{text!r} did not come: {self.received[-2000:]!r}")
            self._take(0.5)
        return time.monotonic() - self.began

    def ended(self, seconds: float = 60) -> int:
        """The exit code, -N after signal N. What is written meanwhile is read."""
        end = time.monotonic() + seconds
        while self.code is None:
            if self.master >= 0:
                self._take(0.05)
            else:
                time.sleep(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                raise TimeoutError(f"has not ended: {self.received[-2000:]!r}")
        if self.master >= 0:
            self._take(0.1)
        return self.code

    def _take(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.received += os.read(self.master, 65536)
            except OSError:  # everything on the other end has closed it
                time.sleep(min(seconds, 0.05))
