"""Plain prompts in a real terminal: where the cursor cannot be moved, where it can, and where there is none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.terminal import Terminal, needs_tmux
from tests.e2e.tool import TOOL, environment, sft

pytestmark = pytest.mark.usefixtures("private_home")


def terminal(folder: Path, *arguments: str, term: str) -> Terminal:
    """`sft-wizard --plain` in a terminal of this kind."""
    return Terminal(["env", f"TERM={term}", *TOOL, "--plain", *arguments], folder, environment(), rows=60)


def answer(terminal: Terminal, asked: str, text: str = "", seconds: float = 60) -> None:
    """Wait for a question and answer it."""
    terminal.wait(asked, seconds=seconds)
    if text:
        terminal.type(text)
    terminal.keys("Enter")


def choose(terminal: Terminal, asked: str, row: str) -> None:
    """Answer a question with the number before `row`: how many stand above it depends on the machine."""
    shown = terminal.wait(asked, row)
    terminal.type(re.findall(rf"^ +(\d+)\. {re.escape(row)}", shown, re.MULTILINE)[-1])
    terminal.keys("Enter")


@needs_tmux
@pytest.mark.parametrize("term", ["dumb", pytest.param("xterm-256color", marks=pytest.mark.slow)])
def test_from_the_first_question_to_a_model(tmp_path: Path, tiny_model: Path, term: str) -> None:
    """With a screen reader or over a serial line one gets as far as anyone."""
    rows = [{"instruction": f"question {number}", "output": f"answer {number}"} for number in range(20)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    with terminal(tmp_path, term=term) as shell:
        choose(shell, "What next, number [1]:", "Begin")
        choose(shell, "Model, number [1]:", "A folder")
        answer(shell, "Folder of the model:", str(tiny_model))
        answer(shell, "Data, number [1]:", "2")
        answer(shell, "a lists what is rarely changed:")
        answer(shell, "Memory preset, number [1]:")
        answer(shell, "a lists the rare ones:")
        answer(shell, "q leaves:")
        answer(shell, "Talk to it? [y/N]", seconds=240)
        answer(shell, "Write these lines to a file? [y/N]", "y")
        shown = shell.wait("exit code 0")
    whole = shown.replace("\n", "")  # a path is longer than a line
    assert "sft-wizard --replay config.yaml" in whole and "rows-lora/serving.md" in whole
    assert "vllm serve models/rows-lora" in (tmp_path / "rows-lora/serving.md").read_text()
    assert (tmp_path / "rows-lora/models/rows-lora/model.safetensors").exists()


@needs_tmux
@pytest.mark.parametrize(("term", "key"), [("dumb", "C-d"), ("xterm-256color", "C-c"), ("xterm-256color", "C-d")])
def test_leaving_keeps_what_was_typed(tmp_path: Path, term: str, key: str) -> None:
    """And says how to go on, in two lines on a terminal that works."""
    with terminal(tmp_path, term=term) as shell:
        choose(shell, "What next, number [1]:", "Begin")
        choose(shell, "Model, number [1]:", "A name on the hub")
        answer(shell, "Name on the hub:", "no name")
        shell.wait("error:")
        choose(shell, "Model, number [", "SmolLM2-135M-Instruct")
        answer(shell, "Download it now, yes or no [no]:")
        shell.wait("Data, number [1]:")
        shell.keys(key)
        shell.wait("Your answers are kept, up to the step Data.", "sft-wizard --plain", "exit code 130")


def test_without_a_terminal_it_ends_with_a_hint(tmp_path: Path) -> None:
    """In a batch job nobody answers."""
    done = sft("--plain", cwd=tmp_path, input="\n\n")
    assert done.returncode == 2 and "--replay" in done.stderr
