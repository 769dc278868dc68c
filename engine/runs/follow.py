"""Watching a run from the foreground: its events, the signals that the viewer passes on, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from engine.errors import (
    EXIT_CHECKPOINTED,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STOPPED,
    Problem,
)
from engine.runs.events import CLOSING, Event, EventReader
from engine.runs.folder import RunFolder
from engine.runs.launch import Worker

POLL_SECONDS = 0.1

Listener = Callable[[Event], None]


@dataclass
class Asked:
    """Signals that this viewer has received and passed on."""

    interrupts: int = 0
    terminations: int = 0
    hangup: bool = False


@dataclass(frozen=True)
class Ending:
    """How a run ended, or that we left it running."""

    exit_code: int
    event: Event | None
    left_running: bool = False


def follow(run: RunFolder, worker: Worker, listen: Listener, *, has_terminal: bool) -> Ending:
    """Read events until the run ends; pass SIGINT and SIGTERM on and wait for the checkpoint.

    A second Ctrl+C kills the process group. On a terminal a hang-up leaves the run going. Exit codes as in DESIGN §3.
    """
    asked = Asked()
    reader = EventReader(run.events_file)
    with _signals(asked, worker, listen, has_terminal):
        while True:
            ended = worker.process.poll() is not None
            for event in reader.poll():
                listen(event)
                if event["type"] in CLOSING:
                    worker.process.wait()
                    return _ending(event, asked)
            if asked.hangup:
                return Ending(EXIT_OK, None, left_running=True)
            if ended:
                return _died(run, worker, asked, listen)
            time.sleep(POLL_SECONDS)


def _ending(event: Event, asked: Asked) -> Ending:
    if event["type"] == "failed":
        return Ending(int(event.get("exit_code", EXIT_FAILED)), event)
    if event.get("outcome") != "stopped":
        return Ending(EXIT_OK, event)
    if asked.interrupts:
        return Ending(EXIT_INTERRUPTED, event)
    return Ending(EXIT_CHECKPOINTED if asked.terminations else EXIT_STOPPED, event)


def _died(run: RunFolder, worker: Worker, asked: Asked, listen: Listener) -> Ending:
    """The worker is gone without a closing word: killed, or crashed in native code."""
    code = worker.process.returncode
    how = signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
    problem = Problem("crashed", {"how": how, "log": str(run.log_file)})
    event = {"type": "failed", **problem.as_dict(), "exit_code": EXIT_FAILED}
    with contextlib.suppress(OSError):  # a full disk may be what it died of
        run.update_state(state="crashed", exit_code=EXIT_FAILED)
    listen(event)
    return Ending(EXIT_INTERRUPTED if asked.interrupts > 1 else EXIT_FAILED, event)


@contextlib.contextmanager
def _signals(asked: Asked, worker: Worker, listen: Listener, has_terminal: bool) -> Iterator[None]:
    def send(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.process.pid, number)

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.interrupts += 1
        if asked.interrupts == 1:
            listen({"type": "stopping", "by": "SIGINT"})
            send(signal.SIGTERM)
        else:
            listen({"type": "killing"})
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)

    def terminate(number: int, frame: FrameType | None) -> None:
        asked.terminations += 1
        if asked.terminations == 1:
            listen({"type": "stopping", "by": "SIGTERM"})
        send(signal.SIGTERM)

    def hangup(number: int, frame: FrameType | None) -> None:
        asked.hangup = has_terminal
        if not has_terminal:
            terminate(number, frame)
        else:  # the terminal is gone: anything written there would fail
            sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115

    handlers = {signal.SIGINT: interrupt, signal.SIGTERM: terminate, signal.SIGHUP: hangup}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
