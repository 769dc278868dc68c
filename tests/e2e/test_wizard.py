"""The wizard in a real terminal: the walk, leaving, coming back, a lost connection, another size."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.runs.lock import held, read_holder
from tests.e2e.terminal import Terminal, needs_tmux
from tests.e2e.tool import TOOL, environment, events, sft, steps_done, wait_for

pytestmark = needs_tmux


@pytest.fixture(autouse=True)
def _no_run_left(tmp_path: Path) -> Iterator[None]:
    """A test that fails must not leave a run behind that takes the machine from the others."""
    yield
    for lock in tmp_path.glob("**/logs/*/run.lock"):
        holder = read_holder(lock)
        if holder is not None and held(lock):
            os.killpg(holder.pid, signal.SIGKILL)


def rows(folder: Path, count: int = 40) -> Path:
    """A data file whose columns are recognised."""
    file = folder / "rows.json"
    file.write_text(json.dumps([{"instruction": f"question {i}", "output": f"answer {i}"} for i in range(count)]))
    return file


def wizard(folder: Path, *arguments: str, columns: int = 80, rows: int = 24) -> Terminal:
    """`sft-wizard` in a terminal of its own."""
    return Terminal([*TOOL, *arguments], folder, environment(), columns, rows)


def to_settings(terminal: Terminal, model: Path) -> None:
    """A model folder and the file that lies here, up to the settings."""
    terminal.wait("> 1 Begin")
    terminal.keys("Enter")
    terminal.wait("of 10: Hardware", "Processor", gone="Checking")
    terminal.keys("Enter")
    terminal.wait("of 10: Model", "> 1 ", "Memory: fits", gone="Looking")
    terminal.keys("End", "Up")
    terminal.wait("A folder …", "Folder of the model")
    terminal.keys("Enter")
    terminal.wait("Esc cancel")
    terminal.keys("/")
    terminal.wait("Folder of the model: /")
    terminal.type(str(model)[1:])
    terminal.wait(model.name)
    terminal.keys("Enter")
    terminal.wait("of 10: Data", "> 1 ", "rows.json", gone="Reading")
    terminal.keys("2")
    terminal.wait("> 2 rows.json")
    terminal.keys("Enter")
    terminal.wait("of 10: Memory", "> 1 CPU")
    terminal.keys("Enter")
    terminal.wait("of 10: Settings", "> Go on with these")


def start(terminal: Terminal, model: Path, epochs: str) -> None:
    """The same, with so many epochs, and its run started."""
    to_settings(terminal, model)
    terminal.keys(*["Down"] * 9)
    terminal.wait("> num_train_epochs")
    terminal.keys("Enter")
    terminal.wait("take it")
    terminal.keys("C-u")
    terminal.type(epochs)
    terminal.keys("Enter")
    terminal.wait("changed")
    terminal.keys("Home")
    terminal.wait("> Go on with these")
    terminal.keys("Enter")
    terminal.wait("of 10: Review", "> Start", "config.yaml", "new")
    terminal.keys("Enter")


def tree(folder: Path) -> dict[str, bytes]:
    """What a project holds, but for its records."""
    kept = (path for path in sorted(folder.rglob("*")) if path.is_file() and "logs" not in path.parts)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in kept
        if path.suffix in (".yaml", ".json", ".py", ".md", ".safetensors", ".jinja")
        and path.name not in ("trainer_state.json", "sft_wizard.json", "train_results.json", "all_results.json")
        and "checkpoint" not in str(path)
    }


def test_what_the_wizard_makes_is_what_replay_makes(tmp_path, tiny_model, private_home):
    """The file that a person keeps must stand for what they saw: the same project, adapter and model, byte for byte."""
    rows(tmp_path)
    with wizard(tmp_path) as terminal:
        start(terminal, tiny_model, "1")
        terminal.wait("finished", "talk to it", seconds=240)
        terminal.keys("Enter")
        terminal.wait("of 10: Chat")
        terminal.keys("Enter")
        shown = terminal.wait("of 10: Finish", "rows-lora")
        terminal.keys("Enter")
        ended = terminal.wait("exit code 0")
    assert "--replay" in shown + ended
    made = tmp_path / "rows-lora"
    before = tree(made)
    assert {"config.yaml", "configs/train_config.yaml", "data/rows_train.json"} <= before.keys()
    assert any(name.endswith("adapter_model.safetensors") for name in before)
    again = sft("--replay", made / "config.yaml", "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["already_done"]
    assert tree(made) == before
    copy = tmp_path / "elsewhere" / "rows-lora"
    copy.parent.mkdir()
    shutil.copytree(made, copy, ignore=shutil.ignore_patterns("saves", "models", "logs", "data", "*.lock"))
    done = sft("--replay", copy / "config.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = tree(copy)
    assert after.keys() == before.keys()
    assert [name for name in before if before[name] != after[name]] == []


def test_leaving_keeps_the_answers_and_the_next_start_offers_them(tmp_path, tiny_model, private_home):
    """Ctrl+C in the middle of ten questions must not mean ten questions again."""
    rows(tmp_path)
    with wizard(tmp_path) as terminal:
        to_settings(terminal, tiny_model)
        terminal.keys("C-c")
        terminal.wait("kept")
        terminal.keys("C-c")
        ended = terminal.wait("exit code 0")
        assert "sft-wizard" in ended
        assert "\x1b" not in ended
    with wizard(tmp_path) as terminal:
        terminal.wait("> 1 Go on with your answers", "at the step Settings")
        terminal.keys("Enter")
        terminal.wait("of 10: Settings", "rows-lora")
        terminal.keys("Escape", "Escape", "Escape")
        assert str(tiny_model)[:20] in terminal.wait("of 10: Model")


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGHUP,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_a_run_outlives_its_wizard_and_can_be_watched_stopped_and_resumed(tmp_path, tiny_model, private_home, number):
    """The SSH line drops, the laptop sleeps, an administrator cleans up: the GPU's work goes on."""
    rows(tmp_path)
    logs = tmp_path / "rows-lora" / "logs"
    with wizard(tmp_path) as terminal:
        start(terminal, tiny_model, "3000")
        terminal.wait("Safe to disconnect", "step", seconds=120)
        wait_for(lambda: steps_done(logs) > 3)
        viewer = psutil.Process(terminal.pid()).children()[0]
        if number == signal.SIGHUP:
            terminal.hang_up()
        else:
            viewer.send_signal(number)
            ended = terminal.wait(f"exit code {128 + number}")
            assert "attach" in ended or number == signal.SIGKILL
        wait_for(lambda: not viewer.is_running() or viewer.status() == psutil.STATUS_ZOMBIE, 30)
    seen = steps_done(logs)
    wait_for(lambda: steps_done(logs) > seen + 5)
    listed = json.loads(sft("runs", "--json", cwd=tmp_path.parent).stdout)
    assert [found["state"] for found in listed] == ["running"]
    with wizard(tmp_path.parent, "attach", columns=120, rows=40) as terminal:
        terminal.wait("Safe to disconnect", "loss")
        terminal.resize(60, 18)
        terminal.wait("loss", gone="Enlarge")
        terminal.resize(40, 10)
        terminal.wait("Enlarge")
        terminal.resize(80, 24)
        terminal.wait("Safe to disconnect")
        terminal.keys("s")
        terminal.wait("again")
        terminal.keys("s")
        terminal.wait("stopped", "resume")
        terminal.keys("C-c", "C-c")
        terminal.wait("exit code 0")
    stopped = steps_done(logs)
    assert events(logs)[-1]["outcome"] == "stopped"
    resumed = sft("resume", listed[0]["id"], "--detach", cwd=tmp_path.parent)
    assert resumed.returncode == 0, resumed.stderr
    wait_for(lambda: steps_done(logs) > stopped)
    assert sft("stop", resumed.stdout.strip(), cwd=tmp_path.parent).returncode == 0
    wait_for(lambda: events(logs) and events(logs)[-1]["type"] == "finished")


def test_a_started_wizard_offers_the_run_that_is_live(tmp_path, tiny_model, private_home):
    """Whoever comes back and types sft-wizard again looks for the run, not for new questions."""
    rows(tmp_path)
    with wizard(tmp_path) as terminal:
        start(terminal, tiny_model, "3000")
        terminal.wait("Safe to disconnect", seconds=120)
        terminal.keys("d")
        assert "attach" in terminal.wait("exit code 0")
    with wizard(tmp_path) as terminal:
        terminal.wait("> 1 Watch rows-lora", "running")
        terminal.keys("Enter")
        terminal.wait("Safe to disconnect")
    assert sft("stop", cwd=tmp_path).returncode == 0


@pytest.mark.slow
@pytest.mark.model
def test_enter_alone_ends_in_a_model_that_was_checked(tmp_path, home_with_model):
    """The promise to a beginner, literally: nothing but Enter, from the first screen to the last."""
    passed = []
    with Terminal(TOOL, tmp_path, environment() | {"OMP_NUM_THREADS": "2"}) as terminal:
        terminal.wait("> 1 Begin")
        terminal.keys("Enter")
        for title in ("Hardware", "Model", "Data", "Memory", "Settings", "Review"):
            terminal.wait(f"of 10: {title}", gone="Looking")
            passed.append(title)
            terminal.keys("Enter")
        terminal.wait("finished", "talk to it", seconds=1200)
        terminal.keys("Enter")
        terminal.wait("of 10: Chat", "Ask:")
        end = time.monotonic() + 600
        while "of 10: Finish" not in terminal.screen() and time.monotonic() < end:
            terminal.keys("Enter")  # asks what stands in the row; the last one goes on
            time.sleep(5)
        terminal.wait("of 10: Finish", "identity-lora")
        terminal.keys("Enter")
        terminal.wait("exit code 0")
    told = {event["type"]: event for event in events(tmp_path / "identity-lora" / "logs")}
    assert told["finished"]["outcome"] == "done"
    assert told["proof"]["passed"]
    assert (tmp_path / "identity-lora" / "models" / "identity-lora" / "model.safetensors").exists()
    assert len(passed) == 6
