"""The process that does a run's work: python -m engine.runs.worker RUN_FOLDER

Each step (train, merge, answers) starts in fresh memory: the worker replaces itself by exec, so pid, locks and
lifeline stay the same and no supervisor is needed. Signals, the stop file, the lifeline and the heartbeat are handled
here once for all steps.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from engine.errors import EXIT_ENVIRONMENT, EXIT_FAILED, Problem, ProblemError, StopRequested
from engine.hardware.cgroups import kills
from engine.outputs import lock_path
from engine.runs.events import EventLog
from engine.runs.folder import RunFolder
from engine.runs.launch import python_module
from engine.runs.lock import FolderLock, Holder

HEARTBEAT_SECONDS = 5.0
PROGRESS_SECONDS = 0.5
# Modules with `run(work)`; they import torch, so they are imported only here.
_DISK_WORDS = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed writing")
STEPS = {"train": "engine.train.work", "merge": "engine.merge.work", "answers": "engine.chat.work"}


@dataclass
class Work:
    """What a step is given: the run, its resolved config, the event log, and whether to stop."""

    run: RunFolder
    config: dict[str, Any]
    events: EventLog
    stop: threading.Event = field(default_factory=threading.Event)
    locks: list[FolderLock] = field(default_factory=list)
    told: float = 0.0

    def should_stop(self) -> bool:
        """Whether a stop was asked for, by signal, stop file or the viewer's death. Cheap: ask often."""
        return self.stop.is_set()

    def phase(self, name: str, **fields: Any) -> None:
        """Tell viewers what is being done now."""
        self.events.write("phase", name=name, **fields)

    def progress(self, done: float, total: float, unit: str) -> None:
        """Tell viewers how far it is, a few times a second at most."""
        now = time.monotonic()
        if done >= total or now - self.told >= PROGRESS_SECONDS:
            self.told = now
            self.events.write("progress", done=done, total=total, unit=unit)

    def warn(self, problem: Problem) -> None:
        """Tell viewers of something that does not end the run."""
        self.events.write("warning", **problem.as_dict())

    def lock(self, folder: Path) -> None:
        """Hold `folder` until the run ends. Raises EnvironmentProblem when another run has it."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        path = lock_path(folder)
        if all(lock.path != path for lock in self.locks):
            self.locks.append(FolderLock.take(path, Holder.this_process(self.run.id)))

    def made(self, what: str, path: Path) -> None:
        """Note an output (adapter, merged, answers) for viewers and for the run's closing event."""
        self.run.update_state(outputs={**self.run.outputs(), what: str(path)})

    def poll(self) -> None:
        """Raise StopRequested if a stop was asked for."""
        if self.stop.is_set():
            raise StopRequested


def main(arguments: list[str] | None = None) -> int:
    """Run the remaining steps of a run. Returns the exit code that viewers report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--step", type=int, default=0)
    parser.add_argument("--lifeline", type=int)
    parser.add_argument("--locks", default="", help="path=fd, kept over exec")
    options = parser.parse_args(arguments)
    run = RunFolder(options.run)
    events = EventLog(run.events_file)
    work = Work(run, {}, events)
    _listen(work.stop)
    warnings.simplefilter("ignore", FutureWarning)  # of libraries, about names they call each other by
    inherited = [part.rpartition("=") for part in options.locks.split("\n") if part]
    work.locks = [FolderLock(Path(path), int(fd)) for path, _, fd in inherited]
    try:
        work.locks = work.locks or [FolderLock.take(run.lock_file, Holder.this_process(run.id))]
    except ProblemError as error:  # another worker's run: its events and state are not ours to write
        print(error, file=sys.stderr)
        return error.exit_code
    try:
        threading.Thread(target=_watch, args=(work, options.lifeline), daemon=True).start()
        work.config = run.config()
        steps: list[str] = work.config["steps"]
        step = steps[options.step]
        if options.step == 0:
            events.write(
                "run_started", run=run.id, steps=steps, pid=os.getpid(), versions=work.config.get("versions", {})
            )
            run.update_state(kills=kills())
        run.update_state(state="running", step=step, pid=os.getpid())
        work.poll()
        importlib.import_module(STEPS[step]).run(work)
        if options.step + 1 < len(steps):
            _next(work, options)
        events.write("finished", outcome="done", outputs=run.outputs())
        run.update_state(state="finished", exit_code=0)
        return 0
    except StopRequested:
        events.write("finished", outcome="stopped", outputs=run.outputs())
        run.update_state(state="stopped")
        return 0
    except BaseException as error:
        with contextlib.suppress(OSError):  # the log may be on the disk that is full
            traceback.print_exc()
        problems, code = explain(error)
        # The whole story is in events; state.json holds what a list of runs shows.
        with contextlib.suppress(OSError):
            also = [problem.as_dict() for problem in problems[1:6]]
            events.write("failed", **problems[0].as_dict(), also=also, exit_code=code)
            run.update_state(state="failed", exit_code=code, code=problems[0].code)
        return code


def explain(error: BaseException) -> tuple[tuple[Problem, ...], int]:
    """An exception as problems and the exit code they lead to."""
    if isinstance(error, ProblemError):
        return error.problems, error.exit_code
    text = str(error)
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or "can't allocate memory" in text.lower():
        return (Problem("oom", {"reason": text[:300]}),), EXIT_FAILED
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (Problem("disk_full", {"path": str(error.filename or "")}),), EXIT_ENVIRONMENT
    if any(words in text for words in _DISK_WORDS):
        return (Problem("disk_full", {"path": ""}),), EXIT_ENVIRONMENT
    if isinstance(error, ImportError):
        return (Problem("missing_package", {"name": error.name or text[:100], "reason": text[:200]}),), EXIT_ENVIRONMENT
    return (Problem("internal", {"type": type(error).__name__, "reason": text[:500]}),), EXIT_FAILED


def _next(work: Work, options: argparse.Namespace) -> None:
    """Become the next step: same process, locks and lifeline, fresh memory."""
    command = [*python_module("engine.runs.worker"), str(work.run.path), "--step", str(options.step + 1)]
    command += ["--locks", "\n".join(f"{lock.path}={lock.fd}" for lock in work.locks)]
    if options.lifeline is not None:
        os.set_inheritable(options.lifeline, True)
        command += ["--lifeline", str(options.lifeline)]
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    # A signal between here and the new handlers would be lost or end the run without a word: keep it pending meanwhile.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    work.poll()
    os.execv(command[0], command)


def _listen(stop: threading.Event) -> None:
    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _watch(work: Work, lifeline: int | None) -> None:
    """Heartbeat, stop file and lifeline, until the process ends."""
    said = beat = 0.0
    while True:
        now = time.monotonic()
        if now - beat >= HEARTBEAT_SECONDS:
            beat = now
            for lock in list(work.locks):
                with contextlib.suppress(OSError):
                    os.utime(lock.path)
        if lifeline is not None and select.select([lifeline], [], [], 0)[0]:
            work.stop.set()  # nothing is ever written to it: readable means closed
        if work.run.stop_file.exists():
            work.stop.set()
        if work.stop.is_set() and not said:
            said = now
            with contextlib.suppress(OSError):
                work.run.update_state(state="stopping")
        time.sleep(0.25)


if __name__ == "__main__":
    sys.exit(main())
