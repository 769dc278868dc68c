"""After Start at plain prompts: how a run ends decides what is said, asked and returned."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EXIT_OK, EXIT_STOPPED
from engine.runs.events import EventLog
from engine.runs.folder import RunFolder
from engine.wizard.desk import Progress, Started
from engine.wizard.session import Wizard
from tests.unit.wizards import HereDesk, Script, pick
from tui.plain import run_plain

ENTERS = [""] * 7  # to begin, the questions, and Start
ANSWERS = [{"question": "Who are you?", "base": "A model.\x1b[2J", "tuned": "Lumi."}]


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """No model, run or draft of the person who runs the tests."""


class RunningDesk(HereDesk):
    """Starts runs that are over at once, each as the next of `endings` says; None goes on."""

    def __init__(self, *endings: dict[str, Any] | None):
        super().__init__()
        self.endings = list(endings)

    def start(self, wizard: Wizard, progress: Progress) -> Started:
        started = super().start(wizard, progress)
        folder = started.config.parent
        run = RunFolder.create(folder / "logs", "test", {"file": str(started.config), "steps": ["train", "merge"]})
        events = EventLog(run.events_file)
        events.write("phase", name="training")
        events.write("step", step=3, total=3, loss=1.5, lr=0.1, epoch=1.0, tokens_per_second=10.0, eta=0.0)
        ending = self.endings.pop(0)
        if ending is None:
            return Started(run, started.config, {})
        outputs = {"adapter": str(folder / "saves/a"), "merged": str(folder / "models/m")}
        if ending["type"] == "finished":
            answers = run.path / "answers.jsonl"
            answers.write_text("".join(json.dumps(row) + "\n" for row in ANSWERS))
            outputs["answers"] = str(answers)
            run.update_state(outputs=outputs)
        events.write(**{"kind" if name == "type" else name: value for name, value in ending.items()})
        return Started(run, started.config, {})


def dialogue(cwd: Path, desk: HereDesk, *lines: Any) -> tuple[int, Script, list[str]]:
    talked: list[str] = []
    script = Script([*ENTERS, *lines])
    return run_plain(Wizard(cwd), desk, prompts=script, talk=talked.append), script, talked


DONE = {"type": "finished", "outcome": "done"}
FAILED = {"type": "failed", "code": "oom", "params": {}, "exit_code": 1}


def test_a_finished_run_shows_what_was_learned_and_what_to_do_with_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The answers before and after, a chat, and how to serve and repeat it; paths for programs on stdout."""
    code, script, talked = dialogue(tmp_path, RunningDesk(DONE), "y", "y")
    assert code == EXIT_OK and talked == [str(tmp_path / "identity-lora")]
    for words in (
        "Question: Who are you?\nBefore: A model.\\x1b[2J\nAfter: Lumi.",
        "Model: models/m (not there any more)",
        "  vllm serve models/m --served-model-name",
        "Do it again, without questions",
        f"Written: {tmp_path / 'identity-lora' / 'serving.md'}",
    ):
        assert words in script.text
    said = capfd.readouterr()
    assert f"merged: {tmp_path}/identity-lora/models/m" in said.out
    assert "step 3/3  loss 1.5000" in said.err and "\x1b" not in said.err


def test_after_a_failure_answers_can_be_changed_and_started_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Out of memory: a smaller preset, and on; files of our own make room by themselves."""
    back = pick("Back to your answers, which are all kept")
    given = (back, pick("Memory preset"), "3", "", "", "n", "n")  # the first Enter shows the differences
    code, script, talked = dialogue(tmp_path, RunningDesk(FAILED, DONE), *given)
    assert code == EXIT_OK and not talked and not script.lines, script.text
    assert "The log has the details" in capfd.readouterr().err
    assert "configs/train_config.yaml: replaced, the old one is kept" in script.text
    code, _script, _talked = dialogue(tmp_path, RunningDesk(FAILED), "")
    assert code == 1


def test_a_run_that_was_stopped_says_how_to_go_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """From another window, by `sft-wizard stop`."""
    code, _script, _talked = dialogue(tmp_path, RunningDesk({"type": "finished", "outcome": "stopped"}))
    assert code == EXIT_STOPPED
    assert "resume" in capfd.readouterr().err


def test_ctrl_c_only_ends_the_watching(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The run is a process of its own; whoever goes home leaves it."""
    signal.signal(signal.SIGALRM, lambda number, frame: os.kill(os.getpid(), signal.SIGINT))

    class Interrupted(RunningDesk):
        def start(self, wizard: Wizard, progress: Progress) -> Started:
            signal.setitimer(signal.ITIMER_REAL, 1)
            return super().start(wizard, progress)

    code, script, _talked = dialogue(tmp_path, Interrupted(None))
    assert code == EXIT_OK and "Ctrl+C ends the watching, not the run." in script.text
    assert "attach" in capfd.readouterr().err


def test_a_run_that_is_alive_can_be_watched_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The person comes back the next morning and types the same command."""
    run = RunFolder.create(tmp_path / "logs", "test", {"steps": ["train"]})

    def choose(script: Script) -> str:
        EventLog(run.events_file).write("finished", outcome="done")
        return "1"

    script = Script([choose])
    assert run_plain(Wizard(tmp_path), HereDesk(), prompts=script, talk=lambda folder: None) == EXIT_OK
    assert "1. Watch test: starting" in script.text
