"""Who holds a folder: an flock that dies with its process, and a note of who that is."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from engine.errors import EnvironmentProblem, Problem

TRIES = 10


@dataclass(frozen=True)
class Holder:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started: float
    boot_id: str
    host: str
    run: str

    @classmethod
    def this_process(cls, run: str) -> Holder:
        """The holder that we are."""
        return cls(os.getpid(), _started(os.getpid()), boot_id(), socket.gethostname(), run)


class FolderLock:
    """An exclusive lock on a file in a folder. Closing the file, or dying, lets go. Survives exec when told to."""

    def __init__(self, path: Path, fd: int):
        self.path, self.fd = path, fd

    @classmethod
    def take(cls, path: Path, holder: Holder) -> FolderLock:
        """Lock `path` for `holder`. Raises EnvironmentProblem `in_use`, naming who holds it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _locked(fd):
            os.close(fd)
            raise EnvironmentProblem(in_use(path, path)) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(asdict(holder)).encode(), 0)
        os.set_inheritable(fd, True)
        return cls(path, fd)

    def release(self) -> None:
        """Let go."""
        os.close(self.fd)


def _locked(fd: int) -> bool:
    """Lock it, with patience for those who only look whether it is held."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(0.02)
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def in_use(lock: Path, folder: Path) -> Problem:
    """The problem that `folder` is held by whoever wrote `lock`."""
    other = read_holder(lock)
    who = {"pid": other.pid, "host": other.host, "run": other.run} if other else {"pid": "?", "host": "?", "run": "?"}
    return Problem("in_use", {"folder": str(folder), **who})


def read_holder(path: Path) -> Holder | None:
    """Who last wrote the lock file, alive or not."""
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def held(path: Path) -> bool:
    """Whether a live process holds the lock at `path`."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: those who look do not get in each other's way
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def boot_id() -> str:
    """The kernel's identity of this boot; a pid of an earlier boot is another process."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(psutil.boot_time())


def _started(pid: int) -> float:
    return psutil.Process(pid).create_time()
