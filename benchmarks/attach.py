"""How long a screen that attaches to a long run waits for its whole history: RunView's first poll, and the ones after.

python -m benchmarks.attach
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from engine.runs.events import EventLog
from engine.runs.folder import RunFolder
from engine.runs.status import status
from engine.runs.view import RunView

ROOT = Path(__file__).resolve().parent.parent
EVENTS = 100_000
REPEATS = 15


def write_run(folder: Path) -> RunFolder:
    """A run in training after EVENTS optimiser steps."""
    run = RunFolder.create(folder, "long", {"name": "long", "steps": ["train"]})
    log = EventLog(run.events_file)
    log.write("run_started", run=run.id, steps=["train"], pid=1, versions={})
    log.write("phase", name="training", step=0, total=EVENTS)
    for step in range(1, EVENTS - 1):
        log.write(
            "step",
            step=step,
            total=EVENTS,
            loss=round(2 + 1 / step, 6),
            lr=1e-4,
            epoch=round(step / 1000, 4),
            tokens=4096,
            rows=4,
            tokens_per_second=1234.5,
            eta=3600.0,
        )
    return run


def main() -> None:
    """Write the events, poll, print medians, record them."""
    with tempfile.TemporaryDirectory() as work:
        run = write_run(Path(work))
        size = run.events_file.stat().st_size / 1e6
        first, after, listed = [], [], []
        for _ in range(REPEATS):
            view = RunView(run)
            first.append(timed(view.poll))
            after.append(timed(view.poll))
            listed.append(timed(lambda: status(run)))
        seen = len(view.poll().losses)
    assert seen == EVENTS - 2
    lines = [
        "# Attaching to a long run",
        "",
        "Made by benchmarks/attach.py.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, 2 shared CPU cores, Python {sys.version.split()[0]}, "
        f"msgspec {version('msgspec')}; a run of {EVENTS} events ({size:.0f} MB), median of {REPEATS}.",
        "",
        "| what | median, s | worst, s |",
        "|---|---|---|",
        row("whole history for the screen (`RunView`, first poll)", first),
        row("the next poll, nothing new", after),
        row("its line in `sft-wizard runs` (`status`)", listed),
        "",
    ]
    text = "\n".join(lines)
    (ROOT / "benchmarks/results").mkdir(exist_ok=True)
    (ROOT / "benchmarks/results/attach.md").write_text(text)
    print(text)


def timed(what: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def row(name: str, seconds: list[float]) -> str:
    """A line of the table."""
    return f"| {name} | {statistics.median(seconds):.4f} | {max(seconds):.4f} |"


if __name__ == "__main__":
    main()
