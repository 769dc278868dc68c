"""The wizard's own process stays light: torch and transformers belong to the workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pilot.every import EVERY

HEAVY = {"torch", "transformers", "peft", "accelerate", "datasets", "pyarrow", "matplotlib", "gguf"}


def test_no_module_of_a_screen_loads_torch(cwd: Path) -> None:
    """Importing torch takes seconds and gigabytes, which training needs."""
    assert not set(_printed(SCREENS, cwd)) & HEAVY


@pytest.mark.parametrize("part", range(4))
def test_every_screen_comes_without_torch_and_no_key_reads_a_disk(part: int, cwd: Path) -> None:
    """Nor does the estimate load it. A home folder on a network may take seconds for a small file: what takes its time

    is done beside the loop that the keys come through.
    """
    found = _printed(f"from tests.pilot.visits import visit\nvisit({[*EVERY][part::4]!r})", cwd)
    assert not set(found["modules"]) & HEAVY
    assert found["waits"] == {}


def _printed(code: str, cwd: Path) -> Any:
    """The last line that a program of its own prints, as JSON."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{code}"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SCREENS = """
import importlib, json, pkgutil, sys
import tui.screens
for found in pkgutil.iter_modules(tui.screens.__path__):
    importlib.import_module(f"tui.screens.{found.name}")
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

FIRST_PAINT = """
import json, sys
import tui.app, tui.cli, tui.opening, tui.screens.start
print(json.dumps(sorted(sys.modules)))
"""
LATER = {
    "psutil",
    "pynvml",
    "filelock",
    "rich.progress",
    "importlib.metadata",
    "email",
    "pandas",
    "huggingface_hub",
} | {"engine.data.registry", "engine.data.source", "engine.data.chats", "engine.memory.fitting", "engine.runs.results"}


def test_the_first_screen_waits_for_nothing_that_is_needed_later(cwd: Path) -> None:
    """Each of these takes tens of milliseconds to load: the wizard is there within twice the time of Textual alone."""
    loaded = set(_printed(FIRST_PAINT, cwd))
    assert "textual.app" in loaded
    assert not loaded & (HEAVY | LATER)


WALK = """
import asyncio, json, sys
from pathlib import Path
from engine.config.fates import key_table
from engine.memory.presets import shipped_presets
from engine.memory.recommended import all_models
from engine.wizard.table import table
from tests.pilot.fakes import app_of, at, started, until
from tui.warming import warm

CACHES = (key_table, shipped_presets, all_models, table)

def loaded():
    own = sorted(name for name in sys.modules if name.partition(".")[0] in ("engine", "tui"))
    return own, [cache.cache_info().misses for cache in CACHES]

async def walk():
    app = app_of(Path.cwd())
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await until(pilot, lambda: warm.cache_info().misses)
        await asyncio.to_thread(warm().join)
        before = loaded()
        for step in ("hardware", "model", "data", "preset", "settings", "review"):
            await pilot.press("enter")
            await at(pilot, step)
        after = loaded()
        assert before[1] == after[1], (before[1], after[1])
        print(json.dumps([name for name in after[0] if name not in before[0]]))

asyncio.run(walk())
"""


def test_no_step_loads_what_the_first_screen_had_time_for(cwd: Path) -> None:
    """A key that opens the model or the review waited a third of a second for tables and modules."""
    assert _printed(WALK, cwd) == []
