"""Steps for tests of workers and their viewers: what training does to a run, without training.

Run as a worker (`python -m tests.unit.run_steps RUN_FOLDER [--lifeline FD]`), as a viewer that starts one
(`--view RUN_FOLDER [--terminal]`) or as one that attaches (`--attach RUN_FOLDER`); viewers print what they hear and
exit as the run's ending says. Only the table of steps is ours; the process is the engine's own worker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from engine.errors import ConfigError, Problem, StopRequested
from engine.runs import launch, worker
from engine.runs.folder import RunFolder
from engine.runs.worker import Work

PHASES = ("tokenising", "loading", "training", "saving", "merging")


def run(work: Work) -> None:
    """The step `train` of a run: behaves as the config's `behave` says."""
    behave = work.config.get("behave", "train")
    if behave == "phases":
        through_phases(work, work.config["hold"])
        return
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
        case "children":
            child = subprocess.Popen(["sleep", "600"])
            (work.run.path / "child").write_text(str(child.pid))
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


def through_phases(work: Work, hold: str) -> None:
    """Every phase; in the one to `hold`, until the test creates the file `go` in the run folder."""
    for name in PHASES:
        work.phase(name)
        step = 0
        while name == hold and not (work.run.path / "go").exists():
            step += 1
            if name == "training":
                work.events.write("step", step=step, total=1000, loss=1.0)
            if work.should_stop():
                work.events.write("checkpoint", step=step, path="/c")
                raise StopRequested
            time.sleep(0.02)


def tell(event: dict[str, object]) -> None:
    print(json.dumps(event), flush=True)


def attach(folder: Path) -> int:
    """What `sft-wizard attach --plain` does."""
    from engine.runs.events import EventReader
    from engine.runs.follow import Viewer

    run = RunFolder(folder)
    with Viewer(tell, has_terminal=True, attached=True) as viewer:
        ending = viewer.attach(run, EventReader(run.events_file))
    tell({"type": "ending", "left_running": ending.left_running})
    return ending.exit_code


def view(folder: Path, has_terminal: bool) -> int:
    """What a headless --replay does with a run that is prepared."""
    from engine.runs.follow import Viewer

    # The worker is started as always, but with the fake step in its table.
    launch.python_module = lambda module: [sys.executable, "-m", "tests.unit.run_steps"]  # type: ignore[assignment]
    started = RunFolder(folder)
    with Viewer(tell, has_terminal) as viewer:
        child = launch.start_worker(started, outlives_viewer=has_terminal)
        ending = viewer.follow(started, child)
        child.close()
    tell({"type": "ending", "left_running": ending.left_running, "pid": child.process.pid})
    return ending.exit_code


if __name__ == "__main__":
    if sys.argv[1] == "--view":
        sys.exit(view(Path(sys.argv[2]), "--terminal" in sys.argv))
    if sys.argv[1] == "--attach":
        sys.exit(attach(Path(sys.argv[2])))
    worker.STEPS["train"] = "tests.unit.run_steps"
    sys.exit(worker.main())
