"""How long a key waits on the screens of the wizard, until what it does has been drawn; also after 100,000 events.

python -m benchmarks.keys
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.attach import EVENTS, write_run
from engine.runs.lock import FolderLock, Holder
from tests.pilot.every import EVERY, opened, settled
from tests.pilot.fakes import app_of, screen_text, until

ROOT = Path(__file__).resolve().parent.parent
LOOKED_AT = ("hardware", "model", "data", "preset_gpu", "settings_all", "review", "run_training", "chat", "finish")
KEYS = ("down", "up", "pagedown", "end", "home", "down")
ON_RUN = ("l", "pagedown", "l", "c", "s", "escape")
LIMIT = 0.1  # seconds


def main() -> None:
    """Measure, print, record."""
    with tempfile.TemporaryDirectory() as work:
        for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            os.environ[name] = f"{work}/{name}"
        found = asyncio.run(screens(Path(work)))
        found[f"a run after {EVENTS} events"] = asyncio.run(long_run(Path(work)))
    lines = [
        "# How long a key waits",
        "",
        "Made by benchmarks/keys.py.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, 2 shared CPU cores, Python {sys.version.split()[0]}, "
        f"textual {version('textual')}, on a machine that did other things as well. Processor time of this "
        "process from a key until all that follows from it has been drawn (without a terminal, at 80×24); aimed at: "
        f"{LIMIT:.2f} s.",
        "",
        "| screen | keys | median, s | worst, s |",
        "|---|---|---|---|",
        *(
            f"| {name} | {len(times)} | {sorted(times)[len(times) // 2]:.3f} | {max(times):.3f} |"
            for name, times in found.items()
        ),
        "",
    ]
    text = "\n".join(lines)
    (ROOT / "benchmarks/results/keys.md").write_text(text)
    print(text)


async def screens(work: Path) -> dict[str, list[float]]:
    """{screen: seconds of each key}."""
    found = {}
    for name in LOOKED_AT:
        if name in EVERY:
            cwd = work / name / "work"
            cwd.mkdir(parents=True)
            async with opened(name, cwd) as (pilot, _app):
                found[name] = [await timed(pilot, key) for key in KEYS]
    return found


async def long_run(work: Path) -> list[float]:
    """On the screen of a run that has told of EVENTS steps."""
    run = write_run(work / "logs")
    lock = FolderLock.take(run.lock_file, Holder.this_process(run.id))
    app = app_of(work, run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: f"of {EVENTS}" in screen_text(app), 120)
        times = [await timed(pilot, key) for key in ON_RUN]
    lock.release()
    return times


async def timed(pilot: Any, key: str) -> float:
    """Processor seconds from a key to the screen that no longer changes."""
    began = time.process_time()
    await pilot.press(key)
    await settled(pilot)
    return time.process_time() - began


if __name__ == "__main__":
    main()
