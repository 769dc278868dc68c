"""One watcher a run: looks at its folder once a tick and tells the app what is new."""

from __future__ import annotations

import contextlib
from typing import Any

from textual.app import App
from textual.message import Message
from textual.worker import Worker, get_current_worker

from engine.runs.folder import RunFolder
from engine.runs.view import RunView, Snapshot


class RunChanged(Message):
    """The run as it is now. One that was not dealt with yet is replaced by the next."""

    def __init__(self, snapshot: Snapshot):
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        """Only the latest counts."""
        return isinstance(message, RunChanged)


def over(snapshot: Snapshot) -> bool:
    """Whether nothing more will happen. Of a run on another machine that falls silent one cannot know."""
    return bool(snapshot.outcome) or (not snapshot.status.alive and snapshot.status.state != "elsewhere")


class RunWatch:
    """Reads in a thread of the app, not of a screen: screens come and go. Posts RunChanged to the app."""

    def __init__(self, app: App[Any], run: RunFolder, tick: float):
        self.app, self.run, self.tick = app, run, tick
        self.worker: Worker[None] | None = None

    def start(self) -> None:
        """Watch until the run is over; another watcher of the app ends."""
        self.worker = self.app.run_worker(
            self._watch, name=self.run.id, group="run", thread=True, exclusive=True, exit_on_error=False
        )

    def stop(self) -> None:
        """No longer watch; the run goes on."""
        if self.worker:
            self.worker.cancel()

    def _watch(self) -> None:
        worker = get_current_worker()
        view = RunView(self.run)
        seen: Snapshot | None = None
        while not worker.is_cancelled:
            with contextlib.suppress(OSError):  # a file that is being replaced; the next look finds it
                snapshot = view.poll()
                if snapshot is not seen:
                    seen = snapshot
                    self.app.post_message(RunChanged(snapshot))
            if seen is not None and over(seen):
                return
            worker.cancelled_event.wait(self.tick)
