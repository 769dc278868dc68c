"""Watching a run: its events, the signals that a viewer passes on or leaves by, and how it ended."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

from engine.errors import (
    EXIT_CHECKPOINTED,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STOPPED,
    Problem,
)
from engine.runs.control import killed
from engine.runs.events import CLOSING, Event, EventReader
from engine.runs.folder import RunFolder
from engine.runs.launch import Worker
from engine.runs.lock import Place
from engine.runs.status import status
from engine.runs.view import problems

POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0  # how often an attached viewer looks whether the worker is alive
LAST_WORD_SECONDS = 0.5  # whoever killed the worker on request leaves its last word

Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Ending:
    """How a run ended, or that we left it running."""

    exit_code: int
    event: Event | None
    left_running: bool = False


@dataclass
class Viewer:
    """Watches one run. A context manager: inside it SIGINT, SIGTERM and SIGHUP are the viewer's, before the worker is.

    `attached`: of a run that others started; each of these signals only ends the watching. Else the first SIGINT and
    every SIGTERM is passed on and the checkpoint awaited, and a second SIGINT kills the process group; a hang-up leaves
    the run going where there was a terminal, and is a SIGTERM where there was none.
    """

    listen: Listener
    has_terminal: bool
    attached: bool = False
    worker: Worker | None = None
    interrupts: int = 0
    terminations: int = 0
    leaving: bool = False
    _before: dict[int, Any] = field(default_factory=dict)
    _terminals: list[int] = field(default_factory=list)

    def __enter__(self) -> Viewer:
        self._terminals = [fd for fd in (1, 2) if os.isatty(fd)]
        handlers = {signal.SIGINT: self._interrupt, signal.SIGTERM: self._terminate}
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup: a hang-up is to change nothing
            handlers[signal.SIGHUP] = self._hang_up
        self._before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def follow(self, run: RunFolder, worker: Worker) -> Ending:
        """Watch a worker that we started until its run ends. Exit codes as in DESIGN §3."""
        self.worker = worker
        if self.interrupts or self.terminations:  # asked while it was being started
            self._send(signal.SIGTERM)
        reader = EventReader(run.events_file)
        while True:
            ended = worker.process.poll() is not None
            event = self._hear(reader)
            if event:
                worker.process.wait()
                return self._ending(event)
            if self.leaving:
                return Ending(EXIT_OK, None, left_running=True)
            if ended:
                return self._died(run, worker, reader)
            time.sleep(POLL_SECONDS)

    def attach(self, run: RunFolder, reader: EventReader, here: Place | None = None) -> Ending:
        """Watch a run that others started, from where `reader` is, until it ends, we leave, or it falls silent."""
        here = here or Place.here()
        looked = -LOOK_SECONDS
        found = status(run, here=here)
        while True:
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked, found = time.monotonic(), status(run, here=here)
            event = self._hear(reader)
            if event:
                return self._ending(event)
            if self.leaving or (found.state == "elsewhere" and not found.alive):
                return Ending(EXIT_OK, None, left_running=True)
            if not found.alive:
                cause = problems(run, found, None, here) or (Problem("crashed_unseen", {"log": str(run.log_file)}),)
                return self._failed(cause[0])
            time.sleep(POLL_SECONDS)

    def _hear(self, reader: EventReader) -> Event | None:
        """Pass on what is new; the closing event, if it is among it."""
        for event in reader.poll():
            self._tell(event)
            if event["type"] in CLOSING:
                return event
        return None

    def _tell(self, event: Event) -> None:
        try:
            self.listen(event)
        except OSError as error:
            if error.errno != errno.EIO or not self.has_terminal:
                raise
            self._hang_up()  # the terminal went away before its signal came

    def _ending(self, event: Event) -> Ending:
        if event["type"] == "failed":
            return Ending(int(event.get("exit_code", EXIT_FAILED)), event)
        if event.get("outcome") != "stopped":
            return Ending(EXIT_OK, event)
        if self.interrupts:
            return Ending(EXIT_INTERRUPTED, event)
        return Ending(EXIT_CHECKPOINTED if self.terminations else EXIT_STOPPED, event)

    def _died(self, run: RunFolder, worker: Worker, reader: EventReader) -> Ending:
        """The worker is gone without a closing word: killed by us or by others, or crashed in native code."""
        if self.interrupts > 1:
            killed(run)
        end = time.monotonic() + LAST_WORD_SECONDS
        while time.monotonic() < end:
            event = self._hear(reader)
            if event:
                return Ending(EXIT_INTERRUPTED if self.interrupts > 1 else EXIT_FAILED, event)
            time.sleep(POLL_SECONDS)
        code = worker.process.returncode
        how = signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
        with contextlib.suppress(OSError):  # a full disk may be what it died of
            run.update_state(state="crashed", exit_code=EXIT_FAILED, how=how)
        cause = problems(run, status(run), None, Place.here())
        return self._failed(cause[0] if cause else Problem("crashed", {"how": how, "log": str(run.log_file)}))

    def _failed(self, problem: Problem) -> Ending:
        event = {"type": "failed", **problem.as_dict(), "exit_code": EXIT_FAILED}
        self._tell(event)
        return Ending(EXIT_FAILED, event)

    def _send(self, number: int) -> None:
        if self.worker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.worker.process.pid, number)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.attached:
            self.leaving = True
            return
        self.interrupts += 1
        if self.interrupts == 1:
            self._tell({"type": "stopping", "by": "SIGINT"})
            self._send(signal.SIGTERM)
        else:
            self._tell({"type": "killing"})
            if self.worker:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.worker.process.pid, signal.SIGKILL)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        if self.attached:
            self.leaving = True
            return
        self.terminations += 1
        if self.terminations == 1:
            self._tell({"type": "stopping", "by": "SIGTERM"})
        self._send(signal.SIGTERM)

    def _hang_up(self, number: int = 0, frame: FrameType | None = None) -> None:
        if not self.has_terminal:
            self._terminate(number, frame)
            return
        self.leaving = True
        # The terminal is gone: anything written there would fail.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for fd in self._terminals:
            os.dup2(nowhere, fd)
        os.close(nowhere)
