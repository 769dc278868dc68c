"""How long the command takes to start, and how much the screen of a run writes to the terminal.

python -m benchmarks.start
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.terminal import CountingTerminal
from engine.runs.events import EventLog
from engine.runs.folder import RunFolder
from engine.runs.lock import FolderLock, Holder

ROOT = Path(__file__).resolve().parent.parent
TOOL = str(Path(sys.executable).with_name("sft-wizard"))
BARE = "python -c 'import textual.app'"
REPEATS = 15
RATE = 10  # events a second
WATCHED = 20.0  # seconds
SSH = "192.0.2.1 50000 192.0.2.2 22"


def main() -> None:
    """Measure, print, record."""
    with tempfile.TemporaryDirectory() as work:
        seconds = starts(Path(work))
        training, idle = screen_bytes(Path(work))
    bare = statistics.median(seconds[BARE])
    lines = [
        "# Starting, and what the screen costs",
        "",
        "Made by benchmarks/start.py.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, 2 shared CPU cores, Python {sys.version.split()[0]}, "
        f"textual {version('textual')}, "
        f"typer {version('typer')}; median of {REPEATS} (dry run: 5, tokens cached), alternating, "
        "on a machine that did other things as well.",
        "",
        "| command | median, s | beside importing textual.app |",
        "|---|---|---|",
        *(
            f"| `{name}` | {statistics.median(found):.3f} | {statistics.median(found) / bare:.2f} |"
            for name, found in seconds.items()
        ),
        "",
        "The dry run starts a worker that imports transformers for its tokenizer; that is most of its time.",
        "The wizard's first screen is timed from the start of the process until its first row can be picked, on a "
        "terminal of 80×24.",
        "",
        "Bytes a second that `sft-wizard attach` writes to a terminal of 80×24 over SSH (`SSH_CONNECTION` is set), "
        f"{WATCHED:.0f} s each:",
        "",
        "| run | bytes a second |",
        "|---|---|",
        f"| training, {RATE} events and {RATE} log lines a second | {training:.0f} |",
        f"| finished, nothing happens | {idle:.0f} |",
        "",
    ]
    text = "\n".join(lines)
    (ROOT / "benchmarks/results").mkdir(exist_ok=True)
    (ROOT / "benchmarks/results/start.md").write_text(text)
    print(text)


def starts(work: Path) -> dict[str, list[float]]:
    """{what was started: seconds of each time}."""
    subprocess.run([TOOL, "new", f"{work}/project"], check=True, capture_output=True)
    replay = [TOOL, "--replay", f"{work}/project/config.yaml", "--dry-run"]
    ways = {
        BARE: ([sys.executable, "-c", "import textual.app"], REPEATS),
        "sft-wizard --version": ([TOOL, "--version"], REPEATS),
        "sft-wizard --help": ([TOOL, "--help"], REPEATS),
        "sft-wizard --replay config.yaml --dry-run": (replay, 5),
    }
    wizard = "sft-wizard (to its first screen)"
    seconds: dict[str, list[float]] = {name: [] for name in [BARE, wizard, *ways]}
    for repeat in range(REPEATS + 1):
        for name, (command, times) in ways.items():
            if repeat <= times:
                started = time.monotonic()
                subprocess.run(command, check=True, capture_output=True, cwd=work)
                if repeat:  # the first round warms the disk cache
                    seconds[name].append(time.monotonic() - started)
        took = first_screen(work)
        if repeat:
            seconds[wizard].append(took)
    return seconds


def first_screen(work: Path) -> float:
    """Seconds from the start of the process until the wizard's first screen can be answered."""
    with CountingTerminal([TOOL], work, XDG_STATE_HOME=f"{work}/state", SSH_CONNECTION=SSH) as terminal:
        return terminal.wait("Begin")


def screen_bytes(work: Path) -> tuple[float, float]:
    """Bytes a second that the screen of a run writes while it trains, and when it is over."""
    run = RunFolder.create(work / "logs", "watched", {"name": "watched", "steps": ["train"]})
    lock = FolderLock.take(run.lock_file, Holder.this_process(run.id))
    log = EventLog(run.events_file)
    log.write("run_started", run=run.id, steps=["train"], pid=1, versions={})
    over = threading.Event()
    feeder = threading.Thread(target=feed, args=(run, log, over))
    with CountingTerminal([TOOL, "attach", str(run.path)], work, SSH_CONNECTION=SSH) as terminal:
        terminal.wait("Safe to disconnect")
        feeder.start()
        terminal.read(5)  # the picture appears
        training = terminal.read(WATCHED) / WATCHED
        over.set()
        feeder.join()
        log.write("finished", outcome="done", outputs={})
        run.update_state(state="finished")
        terminal.wait("Everything is done")
        terminal.read(3)
        idle = terminal.read(WATCHED) / WATCHED
    lock.release()
    return training, idle


def feed(run: RunFolder, log: EventLog, over: threading.Event) -> None:
    """Training as a worker tells of it, RATE steps a second."""
    total = 2000
    log.write("phase", name="training", step=0, total=total)
    with run.log_file.open("a") as stream:
        for step in range(1, total):
            loss = 0.4 + 2 * math.exp(-step / 300) + 0.2 * math.sin(step * 2.4)
            rate = {"lr": 1e-4 * (1 - step / total), "epoch": step / 700, "tokens_per_second": 1200 + step % 90}
            log.write("step", step=step, total=total, loss=loss, tokens=900, rows=2, eta=(total - step) / RATE, **rate)
            print(f"step {step}: gradient norm {1 + loss / 3:.6f}, a line of the log as long as they are", file=stream)
            stream.flush()
            if over.wait(1 / RATE):
                return


if __name__ == "__main__":
    main()
