"""What the screen of a run costs on a thin line."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from benchmarks.terminal import CountingTerminal
from tests.pilot.runs import FakeRun

TOOL = str(Path(sys.executable).with_name("sft-wizard"))
SECONDS = 5.0
RATE = 10  # events a second
MOST = 12_000  # bytes a second
SSH = "192.0.2.1 50000 192.0.2.2 22"


def test_a_training_run_stays_within_a_slow_connection_and_a_finished_one_is_silent(tmp_path: Path) -> None:
    """Ten events a second must not become ten redraws a second, nor any where nothing happens."""
    run = FakeRun(tmp_path / "run")
    run.train(1, 1000)
    home = {"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"], "SSH_CONNECTION": SSH}
    with CountingTerminal([TOOL, "attach", str(run.folder.path)], tmp_path, **home) as terminal:
        terminal.wait("Safe to disconnect")
        terminal.read(2)
        written, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            run.train(1, 1000)
            run.log(f"step {run.step}: a line of the log that is about as long as they usually are")
            written += terminal.read(1 / RATE)
        assert 500 < written < MOST * SECONDS
        run.finish()
        terminal.wait("Everything is done")
        terminal.read(2)
        assert terminal.read(3) < 200
