"""Runs of fake steps as real processes: workers, viewers, and waiting for what they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.runs.events import read_events
from engine.runs.folder import RunFolder

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tests.unit.run_steps"]


def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


class Bench:
    """Prepares runs, starts workers and viewers, and leaves no process behind."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.started: list[subprocess.Popen[Any]] = []

    def prepare(self, behave: str, steps: list[str] | None = None, **config: Any) -> RunFolder:
        config = {"steps": steps or ["train"], "behave": behave, **config}
        return RunFolder.create(self.folder / "logs", "test", config)

    def worker(self, run: RunFolder, *extra: str, **options: Any) -> subprocess.Popen[Any]:
        with run.log_file.open("ab") as log:
            options = {"stdout": log, "stderr": log, **options}
            process = subprocess.Popen([*COMMAND, str(run.path), *extra], cwd=ROOT, start_new_session=True, **options)
        self.started.append(process)
        return process

    def viewer(self, run: RunFolder, *extra: str, role: str = "--view") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, role, str(run.path), *extra],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
        for state in self.folder.glob("logs/*/state.json"):
            run = RunFolder(state.parent)
            if run.alive():
                os.kill(run.state()["pid"], signal.SIGKILL)


def training(run: RunFolder) -> bool:
    return any(event["type"] == "phase" for event in read_events(run.events_file))


def closing(run: RunFolder) -> dict[str, Any]:
    """The one closing event of a run."""
    (event,) = [event for event in read_events(run.events_file) if event["type"] in ("finished", "failed")]
    return event
