"""A terminal that can be lost: a command on a pseudo-terminal whose other end the test holds, and closes."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import threading
import time
from pathlib import Path
from types import TracebackType


class Line:
    """A context manager around a shell with one command, as a login over SSH has it. Nothing outlives it but runs."""

    def __init__(self, command: list[str], cwd: Path, environment: dict[str, str]):
        self.said = b""
        # The shell leads the session and stays behind the command, as a login shell does. It tells the command's pid.
        script = '"$@" & echo "pid=$!"; wait "$!"; echo "code=$?"'
        self.shell, self.master = pty.fork()
        if self.shell == 0:
            try:
                signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
                os.chdir(cwd)
                os.execve("/bin/sh", ["sh", "-c", script, "sh", *command], environment)
            finally:
                os._exit(127)
        os.set_inheritable(self.master, False)  # else a later line's processes would hold this one open
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.said.decode("utf-8", "replace"), file=sys.stderr)
        self.hang_up()

    def signal(self, number: int) -> None:
        """Send the command a signal, past its terminal."""
        os.kill(self.pid(), number)

    def hang_up(self) -> None:
        """The connection is lost: the kernel sends SIGHUP, and writes to the terminal fail from now on."""
        if self.master >= 0:
            self._over.set()
            self._reader.join()
            os.close(self.master)
            self.master = -1
            os.waitpid(self.shell, 0)

    def pid(self) -> int:
        """Of the command."""
        return int(self._wait_for(b"pid="))

    def code(self) -> int:
        """The exit code of the command, when it has ended."""
        return int(self._wait_for(b"code="))

    def wait_text(self, text: str) -> None:
        """Until the command has printed `text`."""
        self._wait_for(text.encode())

    def _wait_for(self, mark: bytes, seconds: float = 120) -> bytes:
        """What stands between `mark` and the end of its line."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            _, found, rest = self.said.partition(mark)
            if found and b"\n" in rest:
                return rest.partition(b"\n")[0].strip()
            time.sleep(0.01)
        raise AssertionError(f"not within {seconds} s: {mark!r} in {self.said.decode('utf-8', 'replace')}")

    def _read(self) -> None:
        """Read all the time: a full terminal would block the command."""
        while not self._over.is_set():
            if select.select([self.master], [], [], 0.02)[0]:
                try:
                    self.said += os.read(self.master, 65536)
                except OSError:  # everything on the other end has closed it
                    return


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # the second: it was reaped between open and read
        return True
