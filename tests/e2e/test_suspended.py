"""Ctrl+Z and `fg` at a question and while a run is watched, and Ctrl+C in the middle of a start."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.wizard import draft
from tests.e2e.terminal import Terminal, needs_tmux
from tests.e2e.test_wizard import _no_run_left, rows, start, to_settings, wizard  # noqa: F401
from tests.e2e.tool import TOOL, environment, sft, steps_done, wait_for

pytestmark = [needs_tmux, pytest.mark.slow]


def shell(folder: Path) -> Terminal:
    """A shell with job control."""
    return Terminal(["bash", "--norc", "-i"], folder, environment() | {"PS1": "$ "})


def suspend(terminal: Terminal) -> None:
    """To the shell, and a look at what it is good for: the terminal is as it was before."""
    terminal.keys("C-z")
    terminal.wait("Stopped")
    terminal.type("echo here I $((40 + 2))")
    terminal.keys("Enter")
    terminal.wait("here I 42")


def resume(terminal: Terminal) -> None:
    """And back."""
    terminal.type("fg")
    terminal.keys("Enter")


def test_a_question_waits_in_the_background(tmp_path: Path, private_home: Path) -> None:
    """Whoever has to look at a file first finds the wizard where it was, line that is typed included."""
    with shell(tmp_path) as terminal:
        terminal.type(TOOL[0])
        terminal.keys("Enter")
        terminal.wait("> 1 Begin")
        terminal.keys("Enter")
        terminal.wait("of 10: Hardware", "Processor", gone="Checking")
        terminal.keys("Enter")
        terminal.wait("of 10: Model", "> 1 ", gone="Looking")
        terminal.keys("End", "Enter")
        terminal.wait("Name on the hub: type it")
        terminal.type("some/na")
        terminal.wait("some/na")
        suspend(terminal)
        resume(terminal)
        terminal.wait("of 10: Model", "Name on the hub: some/na")
        terminal.type("me")
        terminal.wait("Name on the hub: some/name")
        terminal.keys("C-c")
        terminal.wait("> 1 Stay")
        terminal.keys("C-c")
        terminal.wait("sft-wizard", gone="of 10")


def test_a_typed_question_waits_too(tmp_path: Path, private_home: Path) -> None:
    """`^Z` is no letter of an answer."""
    with shell(tmp_path) as terminal:
        terminal.type(f"{TOOL[0]} --plain")
        terminal.keys("Enter")
        terminal.wait("What next, number [1]:")
        suspend(terminal)
        resume(terminal)
        terminal.keys("Enter")
        terminal.wait("Model, number [1]:")
        assert "^Z" not in terminal.screen().splitlines()[-1]


def test_a_run_goes_on_while_its_wizard_waits(tmp_path: Path, tiny_model: Path, private_home: Path) -> None:
    """The suspended process is the viewer, never the training."""
    rows(tmp_path)
    logs = tmp_path / "rows-lora" / "logs"
    with shell(tmp_path) as terminal:
        terminal.type(TOOL[0])
        terminal.keys("Enter")
        start(terminal, tiny_model, "3000")
        terminal.wait("Safe to disconnect", seconds=120)
        wait_for(lambda: steps_done(logs) > 3)
        suspend(terminal)
        seen = steps_done(logs)
        wait_for(lambda: steps_done(logs) > seen + 5)
        resume(terminal)
        terminal.wait("of 10: Training", "Safe to disconnect", "loss")
        assert sft("stop", cwd=tmp_path).returncode == 0
        terminal.wait("stopped", "resume")


def test_ctrl_c_in_the_middle_of_a_start_loses_nothing(tmp_path: Path, tiny_model: Path, private_home: Path) -> None:
    """It says what becomes of the run; the run comes about, and no answers are left that were started already."""
    rows(tmp_path)
    logs = tmp_path / "rows-lora" / "logs"
    with wizard(tmp_path) as terminal:
        start(terminal, tiny_model, "3000")
        terminal.wait("Writing the project and starting its run")
        terminal.keys("C-c")
        terminal.wait("The run is being started, and goes on.", "sft-wizard runs")
        terminal.keys("C-c")
        ended = terminal.wait("exit code 0")
        assert "being started" in ended and "Your answers are kept" not in ended
    wait_for(lambda: steps_done(logs) > 3)
    assert draft.load() is None
    with wizard(tmp_path) as terminal:
        terminal.wait("> 1 Watch rows-lora", "running", "2 Begin anew")
    assert sft("stop", cwd=tmp_path).returncode == 0


def test_ctrl_c_at_plain_prompts_in_the_middle_of_a_start(tmp_path: Path, tiny_model: Path, private_home: Path) -> None:
    """The same line by line."""
    rows(tmp_path)
    logs = tmp_path / "rows-lora" / "logs"
    with wizard(tmp_path) as terminal:
        to_settings(terminal, tiny_model)
        terminal.keys("C-c")
        terminal.wait("kept")
        terminal.keys("C-c")
        terminal.wait("exit code 0")
    with shell(tmp_path) as terminal:  # Ctrl+C reaches all that a terminal has in front
        terminal.resize(80, 60)
        terminal.type(f"{TOOL[0]} --plain")
        terminal.keys("Enter")
        terminal.wait("What next, number [1]:")
        terminal.keys("Enter")
        terminal.wait("a lists the rare ones:")
        terminal.keys("Enter")
        terminal.wait("q leaves:")
        terminal.keys("Enter")
        terminal.wait("Writing the project and starting its run")
        terminal.keys("C-c")
        terminal.wait("The run needs nobody to watch it.", "sft-wizard runs")
    wait_for(lambda: steps_done(logs) > 3)
    assert draft.load() is None
