"""One watcher a run: looks at its folder once a tick and tells the app what is new."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.app import App
from textual.message import Message
from textual.worker import Worker, get_current_worker

from engine.hardware.load import Load, Meter
from engine.runs.folder import RunFolder
from engine.runs.view import RunView, Snapshot

LOAD_SECONDS = 2.0  # between two questions to the driver
BEAT_SECONDS = 2.0  # a run that goes on is news this often, because its time goes on
HERE = ("running", "stopping")  # states in which a run's pid counts on this machine
RUN_GROUP = "run"  # of the app's workers


class RunChanged(Message):
    """The run as it is now. One that was not dealt with yet is replaced by the next."""

    def __init__(self, snapshot: Snapshot):
        super().__init__()
        self.snapshot, self.path = snapshot, snapshot.path

    def can_replace(self, message: Message) -> bool:
        """Only the latest of a run counts."""
        return isinstance(message, RunChanged) and message.path == self.path


class RunReading(Message):
    """Which share of a run's long history has been read. path: the run's folder."""

    def __init__(self, path: Path, share: float):
        super().__init__()
        self.path, self.share = path, share

    def can_replace(self, message: Message) -> bool:
        """Only the latest of a run counts."""
        return isinstance(message, RunReading | RunChanged) and message.path == self.path


class RunWatch:
    """Reads in a thread of the app, not of a screen: screens come and go. Posts RunChanged to the app.

    meter: whom to ask what the worker takes. clock: for the time between questions; wall: as events are dated.
    """

    def __init__(
        self,
        app: App[Any],
        run: RunFolder,
        tick: float,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ):
        self.app, self.run, self.tick, self.clock, self.wall = app, run, tick, clock, wall
        self.meter = meter or Meter()
        self.worker: Worker[None] | None = None
        self._load: Load | None = None
        self._asked = -LOAD_SECONDS

    def start(self) -> None:
        """Watch until the run is over; another watcher of the app ends."""
        self.worker = self.app.run_worker(
            self._watch, name=self.run.id, group=RUN_GROUP, thread=True, exclusive=True, exit_on_error=False
        )

    def stop(self) -> None:
        """No longer watch; the run goes on."""
        if self.worker:
            self.worker.cancel()

    def _watch(self) -> None:
        worker = get_current_worker()
        view = RunView(self.run)
        for share in view.catch_up():
            if worker.is_cancelled:
                return
            self.app.post_message(RunReading(self.run.path, share))
        seen: Snapshot | None = None
        told: tuple[Load | None, int] = (None, 0)
        while not worker.is_cancelled:
            with contextlib.suppress(OSError):  # a file that is being replaced; the next look finds it
                snapshot = view.poll()
                now = self.wall()
                news = (self.load(snapshot), 0 if snapshot.over else int(now / BEAT_SECONDS))
                if snapshot is not seen or news != told:
                    seen, told = snapshot, news
                    self.app.post_message(RunChanged(replace(snapshot, load=news[0], now=now)))
            if seen is not None and seen.over:
                return
            worker.cancelled_event.wait(self.tick)

    def load(self, seen: Snapshot) -> Load | None:
        """What the worker takes, asked now and then while it lives on this machine."""
        status = seen.status
        if status.state not in HERE or status.pid is None:
            return None
        if self.clock() - self._asked >= LOAD_SECONDS:
            self._asked = self.clock()
            self._load = self.meter.read(status.pid, str(seen.facts.get("model", {}).get("device", "")))
        return self._load
