"""Steps for tests of workers and their viewers: what training does to a run, without training.

Run as a worker (`python -m tests.unit.run_steps RUN_FOLDER [--lifeline FD]`) or as a viewer
(`python -m tests.unit.run_steps --view RUN_FOLDER`), which prints what it hears and exits as `follow` says. Only the
table of steps is ours; the process is the engine's own worker.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from engine.errors import ConfigError, Problem
from engine.runs import launch, worker
from engine.runs.folder import RunFolder
from engine.runs.worker import Work


def run(work: Work) -> None:
    """The step `train` of a run: behaves as the config's `behave` says."""
    behave = work.config.get("behave", "train")
    work.phase("training", sigterm_blocked=signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, []))
    match behave:
        case "done":
            work.run.update_state(outputs={"adapter": "/a"})
        case "train":  # until it is stopped
            while True:
                work.poll()
                time.sleep(0.02)
        case "stubborn":
            while True:
                time.sleep(1)
        case "kill itself":
            print("last words", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        case "problem":
            raise ConfigError(Problem("value_wrong", {"expected": "x", "found": "y"}, "seed", severity="error"))
        case "no memory":
            raise MemoryError
        case "vanish":
            os._exit(0)


def view(folder: Path, has_terminal: bool) -> int:
    """What a headless --replay does with a run that is prepared."""
    from engine.runs.follow import Viewer

    # The worker is started as always, but with the fake step in its table.
    launch.python_module = lambda module: [sys.executable, "-m", "tests.unit.run_steps"]  # type: ignore[assignment]
    started = RunFolder(folder)
    with Viewer(lambda event: print(json.dumps(event), flush=True), has_terminal) as viewer:
        child = launch.start_worker(started, outlives_viewer=has_terminal)
        ending = viewer.follow(started, child)
        child.close()
    print(json.dumps({"type": "ending", "left_running": ending.left_running, "pid": child.process.pid}), flush=True)
    return ending.exit_code


if __name__ == "__main__":
    if sys.argv[1] == "--view":
        sys.exit(view(Path(sys.argv[2]), "--terminal" in sys.argv))
    worker.STEPS["train"] = "tests.unit.run_steps"
    sys.exit(worker.main())
