"""What the wizard's own process loads while a run is watched, talked to and finished."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

WALK = """
import asyncio, json, sys
from pathlib import Path
from tests.pilot.fakes import app_of, until
from tests.pilot.test_chat import FakeClient, ask, talk, trained

async def walk(folder):
    app = app_of(folder, run=trained(folder).folder, chat=FakeClient())
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot)
        await ask(pilot, "hi")
        await until(pilot, lambda: not app.screen.busy)
        await pilot.press("tab", "end", "enter")
        await until(pilot, lambda: app.at == "finish" and app.screen.found)

asyncio.run(walk(Path(sys.argv[1])))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_a_run_s_screens_load_no_training_library(tmp_path: Path) -> None:
    """A gigabyte of torch in the wizard would come off the memory that training needs, and every key would wait."""
    command = [sys.executable, "-c", WALK, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "textual" in loaded
    assert not loaded & {"torch", "transformers", "peft", "accelerate", "datasets", "pyarrow", "matplotlib"}
