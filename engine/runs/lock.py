"""Who holds a folder: an flock that dies with its process, and a note of who that is.

Some filesystems of clusters have no flock (Lustre mounted without it, NFS without its lock daemon). There the note
and its heartbeat stand in: the process lives on this machine, or the file was touched a moment ago.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.errors import EnvironmentProblem, Problem

PATIENCE = 10.0  # seconds to wait for those who only look
STALE_SECONDS = 90.0  # heartbeats come every 5 s, and NFS shows a file's time up to 60 s late
START_TOLERANCE = 2.0  # seconds: the kernel's boot time, from which start times are counted, wanders with the clock
WITHOUT_FLOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}

Flock = Callable[[int, int], None]


@dataclass(frozen=True)
class Place:
    """Where pids mean the same processes: a machine between two boots, and a pid namespace of it.

    booted: Unix time. Host names alone do not tell: cloned machines and containers share them.
    """

    host: str
    boot_id: str
    pid_namespace: str
    booted: float

    @classmethod
    def here(cls) -> Place:
        """The place of this process."""
        import psutil  # here and below: it takes its time, and a wizard that opens needs none of it yet

        return cls(socket.gethostname(), boot_id(), pid_namespace(), psutil.boot_time())


@dataclass(frozen=True)
class Holder:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started: float
    boot_id: str
    host: str
    run: str
    pid_namespace: str = ""  # unknown in locks of early versions

    @classmethod
    def this_process(cls, run: str) -> Holder:
        """The holder that we are."""
        here = Place.here()
        return cls(os.getpid(), _started(os.getpid()), here.boot_id, here.host, run, here.pid_namespace)

    def is_in(self, place: Place) -> bool:
        """Whether its pid is a pid of `place`."""
        same = (self.host, self.boot_id) == (place.host, place.boot_id)
        return same and self.pid_namespace in ("", place.pid_namespace)

    def lives(self) -> bool:
        """Whether the process with its pid is this very one, and no zombie. Ask only of a holder in our place."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < START_TOLERANCE
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


class FolderLock:
    """An exclusive lock on a file in a folder. Closing the file, or dying, lets go. Survives exec when told to."""

    def __init__(self, path: Path, fd: int):
        self.path, self.fd = path, fd

    @classmethod
    def take(cls, path: Path, holder: Holder, flock: Flock = fcntl.flock) -> FolderLock:
        """Lock `path` for `holder`. Raises EnvironmentProblem `in_use`, naming who holds it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _locked(fd, path, flock):
            os.close(fd)
            raise EnvironmentProblem(in_use(path, path)) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(asdict(holder)).encode(), 0)
        os.set_inheritable(fd, True)
        return cls(path, fd)

    def release(self) -> None:
        """Let go."""
        os.close(self.fd)


def _locked(fd: int, path: Path, flock: Flock) -> bool:
    """Lock it, with patience for those who only look whether it is held."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in WITHOUT_FLOCK:
                return not _noted(path)
        try:
            flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # who looks shares: only a holder refuses this
            flock(fd, fcntl.LOCK_UN)
        except OSError:
            return False
        time.sleep(random.uniform(0.001, 0.02))
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


def held(path: Path, flock: Flock = fcntl.flock) -> bool:
    """Whether a live process holds the lock at `path`."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: those who look do not get in each other's way
    except OSError as error:
        return _noted(path) if error.errno in WITHOUT_FLOCK else True
    finally:
        os.close(fd)
    return False


def heartbeat_age(lock: Path, clock: Callable[[], float] = time.time) -> float | None:
    """Seconds since the holder of a lock file last touched it; 0 where its clock runs ahead of ours. None: no file."""
    try:
        return max(0.0, clock() - lock.stat().st_mtime)
    except OSError:
        return None


def _noted(path: Path) -> bool:
    """Where nothing can be locked: whether the process that the note names seems to live."""
    holder, age = read_holder(path), heartbeat_age(path)
    if holder is None or age is None:
        return False
    return holder.lives() if holder.is_in(Place.here()) else age < STALE_SECONDS


def pid_namespace() -> str:
    """The kernel's name of our pid namespace, which tells containers apart; empty where it has none."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def boot_id() -> str:
    """The kernel's identity of this boot; a pid of an earlier boot is another process."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import psutil

        return str(psutil.boot_time())


def _started(pid: int) -> float:
    import psutil

    return psutil.Process(pid).create_time()
