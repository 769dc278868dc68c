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
