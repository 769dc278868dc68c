"""A command on a pseudo-terminal of 80×24 whose output is counted and timed."""

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
    """A context manager. received: everything written so far; began: when the command was started."""

    def __init__(self, command: list[str], cwd: Path, **environment: str):
        self.received = b""
        kept = {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
        self.began = time.monotonic()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
                os.chdir(cwd)
                os.execve(command[0], command, kept | environment)
            finally:
                os._exit(127)

    def __enter__(self) -> CountingTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.master)

    def read(self, seconds: float) -> int:
        """How many bytes came within so many seconds."""
        before, end = len(self.received), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._take(left)
        return len(self.received) - before

    def wait(self, text: str, seconds: float = 60) -> float:
        """Seconds from the command's start until `text` had come."""
        end = time.monotonic() + seconds
        while text.encode() not in self.received:
            if time.monotonic() > end:
                raise TimeoutError(f"{text!r} did not come: {self.received[-2000:]!r}")
            self._take(0.5)
        return time.monotonic() - self.began

    def _take(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            self.received += os.read(self.master, 65536)
