"""After a failure at plain prompts and without any: the same ways on as on the screen, by number or as commands."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EXIT_FAILED, EXIT_OK, Problem, ProblemError
from engine.runs.folder import RunFolder
from engine.runs.retry import Retry
from engine.wizard.desk import Progress, Started
from engine.wizard.session import Wizard
from tests.pilot.runs import ID, FakeRun
from tests.unit.wizards import HereDesk, Script, pick
from tui.report import Report
from tui.watching import Watched, watch_on


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """No run of the person who runs the tests."""


@dataclass
class AgainDesk(HereDesk):
    """resumed: what each resume gives back, or the problem it raises."""

    resumed: list[RunFolder | Problem] = field(default_factory=list)
    asked_for: list[tuple[str, Retry]] = field(default_factory=list)

    def resume(self, run: RunFolder, retry: Retry, progress: Progress) -> Started:
        self.asked_for.append((run.id, retry))
        found = self.resumed.pop(0)
        if isinstance(found, Problem):
            raise ProblemError(found)
        note = Problem("moved_aside", {"folder": "a", "target": "b"}, severity="note")
        return Started(found, Path("/home/ada/config.yaml"), {}, (note,))


def failed(parent: Path, code: str = "nan_loss", **params: Any) -> RunFolder:
    run = FakeRun(parent)
    run.train(63, 120)
    run.events.write("checkpoint", step=50, path="/c")
    run.log("the end of the log \x1b[31m")
    run.fail(code, **(params or {"step": 64, "loss": "nan"}))
    return run.folder


def done(parent: Path) -> RunFolder:
    run = FakeRun(parent)
    run.train(9, 9)
    run.finish(adapter="/a")
    return run.folder


def watched(run: RunFolder, desk: AgainDesk, *lines: Any, wizard: Wizard | None = None) -> tuple[Watched, Script]:
    script = Script([*lines])
    return watch_on(run, desk, script, wizard), script


def test_a_number_starts_the_run_again_and_it_is_watched_to_its_end(tmp_path: Path) -> None:
    again = done(tmp_path / "again")
    desk = AgainDesk(resumed=[again])
    found, script = watched(failed(tmp_path), desk, pick("Go on from step 50 with learning_rate: 0.0001"))
    assert found.run is again and found.ending.exit_code == EXIT_OK
    assert desk.asked_for == [(ID, Retry({"learning_rate": 1e-4}))]
    assert f"The same at a shell: sft-wizard resume {ID} --set learning_rate=0.0001" in script.text
    assert "note: What was in a is now in b." in script.text


def test_what_is_refused_is_told_and_the_list_comes_again(tmp_path: Path) -> None:
    desk = AgainDesk(resumed=[Problem("nothing_smaller", {"smaller": "-"})])
    run = failed(tmp_path, "oom", reason="x")
    found, script = watched(run, desk, pick("Try again with less memory"), "99", "")
    assert found == Watched(run, found.ending) and found.ending.exit_code == EXIT_FAILED
    assert script.text.count("1. Try again with less memory") == 2
    assert "No setting of this job would save memory" in script.text and "Type a number from 1 to 5." in script.text


def test_what_there_is_to_read_is_read_and_the_list_comes_again(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"a": 1}\n{"a": \x1b2\n')
    run = failed(tmp_path, "data_json_truncated", file=str(rows), line=2)
    keys = [pick("Show line 2 of rows.jsonl"), pick("Check the data, row by row"), pick("Read the whole log"), ""]
    _found, script = watched(run, AgainDesk(), *keys)
    assert '> 2: {"a": \\x1b2' in script.text
    assert "At a shell: sft-wizard data check /home/ada/my_project/config.yaml" in script.text
    assert "the end of the log" in script.text and "\x1b" not in script.text


def test_disk_space_is_named(tmp_path: Path) -> None:
    run = failed(tmp_path, "disk_full", path="/p")
    output = tmp_path / "saves"
    for step in (10, 50):
        (output / f"checkpoint-{step}").mkdir(parents=True)
        (output / f"checkpoint-{step}" / "weights").write_bytes(b"x" * 2_000_000)
    config = {**run.config(), "train": {"config": {"output_dir": str(output)}}}
    run.config_file.write_text(json.dumps(config))
    _found, script = watched(run, AgainDesk(), pick("See what can be deleted"), "")
    assert f"2.0 MB  an older checkpoint of this run, step 10: {output}/checkpoint-10" in script.text
    assert "checkpoint-50" not in script.text


def test_a_setting_is_suggested_and_the_review_comes_back(tmp_path: Path) -> None:
    """Of one's own run; of another's, there are no answers to go back to."""
    wizard = Wizard(tmp_path)
    found, script = watched(failed(tmp_path), AgainDesk(), pick("Change learning_rate in your answers"), wizard=wizard)
    assert found.answers and wizard.value("train.learning_rate") == 1e-4
    assert "learning_rate is now 0.0001 in your answers." in script.text
    found, script = watched(failed(tmp_path / "other"), AgainDesk(), "")
    assert not found.answers and "your answers" not in script.text


def test_a_failure_without_a_terminal_prints_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the log of a batch job: what to try, ready to be copied."""
    from tui.attaching import attach

    assert attach(failed(tmp_path)) == EXIT_FAILED
    said = capsys.readouterr().err
    assert "What can be done, the likeliest first:" in said
    assert "1. Go on from step 50 with learning_rate: 0.0001. A third of before" in said
    assert f"     sft-wizard resume {ID} --set learning_rate=0.0001\n" in said
    assert f"     sft-wizard logs {ID}\n" in said
    assert "Read what this is and how to prevent it\n     sft-wizard explain loss-nan\n" in said
    attach(done(tmp_path / "well"))
    assert "What can be done" not in capsys.readouterr().err


def test_how_a_step_was_planned_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """What the estimate promised, and what the run then does, in the same words."""
    plan = {"micro_batches": "padded", "difference": None, "budget": 4096, "recompute": 12, "layers": 30}
    with Report(lines=True) as report:
        report.event({"type": "log", "what": "step", **plan})
        report.event({"type": "log", "what": "step", "micro_batches": "padded", "difference": None})
    assert capsys.readouterr().err == "Step: 4096 tokens at a time, 12 of 30 layers computed again in backward\n"
