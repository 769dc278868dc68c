"""Runs without training: folders as a worker would have left them, or still holds them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine.config.reading import dump
from engine.hardware.load import Load
from engine.runs.events import EventLog
from engine.runs.folder import RunFolder
from engine.runs.lock import FolderLock, Holder
from engine.runs.view import RunView, Snapshot

ID = "20260131T093000-my_project"
HOME = Path("/home/ada/my_project/logs") / ID  # where golden screens say that a run lies
TRAIN = {"learning_rate": 3e-4, "cutoff_len": 2048, "lora_rank": 16, "template": "auto", "lora_target": "all"}
BEGAN = 1_769_851_800.0  # 2026-01-31 09:30 UTC


class FakeRun:
    """A run folder and its one writer. `alive`: its lock is held, by this process. changes: set beside the file."""

    def __init__(
        self,
        parent: Path,
        *,
        steps: tuple[str, ...] = ("train", "merge", "answers"),
        alive: bool = True,
        changes: tuple[str, ...] = (),
    ):
        path = parent / ID
        path.mkdir(parents=True)
        self.folder = RunFolder(path)
        config: dict[str, Any] = {"version": 1, "name": "my_project", "steps": [*steps], "train": {"config": TRAIN}}
        config |= {"file": "/home/ada/my_project/config.yaml", "overrides": [*changes]}
        self.folder.config_file.write_bytes(dump(config).encode())
        self.folder.log_file.write_text("")
        self.folder.state_file.write_text(json.dumps({"run": ID, "state": "running" if alive else "starting"}))
        self.now = BEGAN
        self.events = EventLog(self.folder.events_file, clock=lambda: self.now)
        self.step = 0
        self.load: Load | None = None
        self.holder = Holder.this_process(ID)
        self._lock = FolderLock.take(self.folder.lock_file, self.holder) if alive else None
        self.events.write("run_started", run=ID, steps=[*steps], pid=1, versions={})

    def state(self, name: str, **more: Any) -> None:
        """What state.json says."""
        self.folder.update_state(state=name, **more)

    def phase(self, name: str, **more: Any) -> None:
        """A phase begins."""
        self.events.write("phase", name=name, **more)

    def train(self, count: int, total: int) -> None:
        """So many more optimiser steps, with a loss that falls and wavers."""
        if self.step == 0:
            self.phase("training", step=0, total=total)
        for _ in range(count):
            self.step += 1
            loss = 0.4 + 2.6 * math.exp(-3 * self.step / total) + 0.15 * math.sin(self.step * 2.4)
            figures = {"lr": 1e-4 * (1 - self.step / total), "epoch": 3 * self.step / total, "tokens": 900, "rows": 2}
            speed = {"tokens_per_second": 1234.0, "eta": 0.8 * (total - self.step)}
            self.events.write("step", step=self.step, total=total, loss=loss, **figures, **speed)

    def log(self, *lines: str) -> None:
        """What the worker prints."""
        with self.folder.log_file.open("a", encoding="utf-8") as stream:
            stream.writelines(line + "\n" for line in lines)

    def finish(self, outcome: str = "done", **outputs: str) -> None:
        """The closing word of a run that did not fail."""
        self.events.write("finished", outcome=outcome, outputs=outputs)
        self.state("finished" if outcome == "done" else "stopped", outputs=outputs)
        self.die()

    def fail(self, code: str, also: tuple[dict[str, Any], ...] = (), **params: Any) -> None:
        """The closing word of one that did."""
        place = {name: params.pop(name) for name in ("file", "line") if name in params}
        self.events.write("failed", code=code, params=params, severity="error", also=[*also], exit_code=1, **place)
        self.state("failed")
        self.die()

    def die(self) -> None:
        """The worker is gone, its lock with it, and no process of now is the one that held it."""
        if self._lock:
            self._lock.release()
            self._lock = None
            self.folder.lock_file.write_text(json.dumps(asdict(replace(self.holder, started=0.0))))

    def move(self, **place: str) -> None:
        """As if the worker lived at another place: host, boot_id."""
        self.die()
        self.holder = replace(self.holder, **place)  # type: ignore[arg-type]
        FolderLock.take(self.folder.lock_file, self.holder).release()

    def snapshot(self) -> Snapshot:
        """As the watcher sees it, but lying where golden screens have it."""
        seen = RunView(self.folder).poll()
        here, there = str(self.folder.path), str(HOME)
        problems = tuple(
            replace(
                found,
                params={
                    name: value.replace(here, there) if isinstance(value, str) else value
                    for name, value in found.params.items()
                },
            )
            for found in seen.problems
        )
        return replace(seen, path=HOME, problems=problems, load=self.load, now=self.now)
