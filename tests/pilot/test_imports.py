"""The wizard's own process stays light: torch and transformers belong to the workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HEAVY = {"torch", "transformers", "peft", "accelerate", "datasets", "pyarrow", "matplotlib", "gguf", "numpy"}

WALK = """
import asyncio, json, sys
from pathlib import Path
from engine.wizard.session import Wizard
from tests.pilot.fakes import PROFILE, SMALL_GPU, FakeDesk, at
from tui.app import WizardApp

async def walk():
    wizard = Wizard(Path.cwd(), {"model": "Qwen/Qwen3-8B"})
    app = WizardApp(wizard, FakeDesk(SMALL_GPU), profile=PROFILE)
    async with app.run_test(size=(80, 24)) as pilot:
        for step in ("hardware", "model", "data", "preset", "settings", "review"):
            await at(pilot, step)
            if step == "preset":
                await pilot.press("f")
            if step != "review":
                await pilot.press("enter")

    assert wizard.answers["train.quantization_bit"] == 4

asyncio.run(walk())
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_the_questions_come_without_torch(cwd: Path) -> None:
    """Importing torch takes seconds and gigabytes; no question needs it, nor does the estimate or making it fit."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{WALK}"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not set(json.loads(done.stdout.splitlines()[-1])) & HEAVY
