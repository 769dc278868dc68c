"""What became of a run, as far as it can be told from here: from its lock, its last words and its heartbeat."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.runs.events import Event, decode
from engine.runs.folder import RunFolder
from engine.runs.lock import STALE_SECONDS, Holder, Place, heartbeat_age, held, read_holder

State = Literal["starting", "running", "stopping", "finished", "failed", "stopped", "crashed", "elsewhere"]

STARTING_SECONDS = 60.0  # from the run folder to its worker's lock: Python starts in two, on a cold NFS in twenty
TAIL_BYTES = 1 << 20  # where the last step is looked for; a list of runs does not read their whole history
OVER: dict[str, State] = {"finished": "finished", "stopped": "stopped", "failed": "failed", "crashed": "crashed"}
GOING: dict[str, State] = {"starting": "starting", "running": "running", "stopping": "stopping"}


@dataclass(frozen=True)
class Status:
    """A run at one moment.

    heartbeat_age: seconds, None before the worker's first. step, total: optimiser steps, 0 where it trained none.
    loss: of that step. alive: somebody works on it, or does so as far as can be told from here.
    """

    state: State
    heartbeat_age: float | None
    host: str
    pid: int | None
    step: int
    total: int
    loss: float | None
    alive: bool


@dataclass(frozen=True)
class Tail:
    """What the end of events.jsonl tells: the last optimiser step, and the closing event."""

    step: int = 0
    total: int = 0
    loss: float | None = None
    closing: Event | None = None


def status(run: RunFolder, *, here: Place | None = None, clock: Callable[[], float] = time.time) -> Status:
    """The status of `run`, seen from `here`. Never raises: a run whose folder is gone is crashed."""
    return judge(run, read_tail(run), here=here or Place.here(), clock=clock)


def judge(run: RunFolder, tail: Tail, *, here: Place, clock: Callable[[], float]) -> Status:
    """`status` for those who have read the events already."""
    holder, age = read_holder(run.lock_file), heartbeat_age(run.lock_file, clock)
    locked = held(run.lock_file)
    noted = str(run.state().get("state", ""))
    state, alive = _state(run, tail, holder, age, locked, noted, here, clock)
    host, pid = (holder.host, holder.pid) if holder else ("", None)
    return Status(state, age, host, pid, tail.step, tail.total, tail.loss, alive)


def _state(
    run: RunFolder,
    tail: Tail,
    holder: Holder | None,
    age: float | None,
    locked: bool,
    noted: str,
    here: Place,
    clock: Callable[[], float],
) -> tuple[State, bool]:
    closed = _closed(tail.closing) or OVER.get(noted)
    if closed:
        return closed, locked
    if locked and (holder is None or holder.is_in(here)):
        return GOING.get(noted, "running"), True
    if locked:
        return "elsewhere", True
    if holder is None:
        young = _age(run, clock) < STARTING_SECONDS
        return ("starting", True) if young else ("crashed", False)
    if holder.is_in(here):
        # NFS takes locks away from a process that it could not reach for a while; it goes on all the same.
        return (GOING.get(noted, "running"), True) if holder.lives() else ("crashed", False)
    if _before_boot(run, holder, here):
        return "crashed", False
    # flock may not reach across machines and containers: only the heartbeat tells, and its silence proves nothing.
    return "elsewhere", age is not None and age < STALE_SECONDS


def _closed(closing: Event | None) -> State | None:
    if closing is None:
        return None
    if closing["type"] == "failed":
        return "failed"
    return "stopped" if closing.get("outcome") == "stopped" else "finished"


def died_by_reboot(run: RunFolder, here: Place) -> bool:
    """Whether a worker that is gone belonged to an earlier boot of this machine."""
    holder = read_holder(run.lock_file)
    return holder is not None and _before_boot(run, holder, here)


def _before_boot(run: RunFolder, holder: Holder, here: Place) -> bool:
    """An earlier boot of this machine; not of another one that bears the same name and still beats."""
    if holder.host != here.host or holder.boot_id == here.boot_id:
        return False
    with contextlib.suppress(OSError):
        return run.lock_file.stat().st_mtime < here.booted
    return False


def _age(run: RunFolder, clock: Callable[[], float]) -> float:
    try:
        return clock() - run.config_file.stat().st_mtime
    except OSError:
        return STARTING_SECONDS


def read_tail(run: RunFolder) -> Tail:
    """The last step and the closing event, looked for from the end of events.jsonl."""
    try:
        with run.events_file.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - TAIL_BYTES))
            raw = stream.read()
    except OSError:
        return Tail()
    # Quotes inside texts are escaped, so these patterns are found in the member itself only.
    step = _last(raw, b'"type":"step"') or {}
    closing = _last(raw, b'"type":"finished"') or _last(raw, b'"type":"failed"')
    return Tail(int(step.get("step", 0)), int(step.get("total", 0)), step.get("loss"), closing)


def _last(raw: bytes, pattern: bytes) -> Event | None:
    """The last whole line that holds `pattern`, as an event."""
    end = raw.rfind(b"\n") + 1
    while (at := raw.rfind(pattern, 0, end)) >= 0:
        begin = raw.rfind(b"\n", 0, at) + 1
        event = decode(raw[begin : raw.find(b"\n", at)])
        if event is not None:
            return event
        end = begin
    return None
