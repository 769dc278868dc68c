"""The draft: answers outlive a dropped link, and a file that is damaged or from elsewhere never stops the wizard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.wizard import draft
from engine.wizard.session import Wizard
from engine.wizard.steps import step
from tests.unit.wizards import HereDesk, begun, look, quiet

DATA = step("data")


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """A state folder of the test's own."""


def damage(**changes: Any) -> None:
    """Change members of the draft; `...` takes one out."""
    raw = json.loads(draft.path().read_text()) | changes
    draft.path().write_text(json.dumps({name: value for name, value in raw.items() if value is not ...}))


def test_the_answers_come_back(tmp_path: Path) -> None:
    """The terminal went away in the middle: nothing has to be typed again."""
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    answers = {"data": "file", "data_file": "mine.csv", "map_prompt": "a", "map_query": None, "map_response": "b"}
    wizard = begun(tmp_path, **answers, train_learning_rate="1e-4", merge="no", project="日本 x")
    draft.save(wizard, DATA)
    found = draft.load()
    assert found and (found.step, found.cwd, found.started) == ("data", tmp_path, False)
    again = found.wizard()
    look(again)
    assert again.answers == wizard.answers and again.project() == wizard.project()
    assert [file.content for file in again.tree().files] == [file.content for file in wizard.tree().files]


def test_that_a_run_was_started_is_remembered(tmp_path: Path) -> None:
    """Files of our own make room without a question, after a restart as well."""
    wizard = begun(tmp_path)
    HereDesk().start(wizard, quiet)
    draft.save(wizard, DATA)
    found = draft.load()
    assert found and found.wizard().started is True
    assert found.wizard().value("project") == "identity-lora"


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """It holds paths and prompts."""
    draft.save(begun(tmp_path, system="private"), DATA)
    assert draft.path().stat().st_mode & 0o777 == 0o600
    assert draft.path().parent.stat().st_mode & 0o777 == 0o700


def test_no_secret_of_the_environment_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token must never reach a file."""
    for name in ("HF_TOKEN", "WANDB_API_KEY", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.setenv(name, "hf_verysecret")
    draft.save(begun(tmp_path, model="hub", model_hub="owner/name"), DATA)
    assert "verysecret" not in draft.path().read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"version": 1}', "\udcff"])
def test_a_damaged_draft_is_none(tmp_path: Path, text: str) -> None:
    """A disk that was full leaves half a file: the wizard begins anew and does not crash."""
    draft.path().write_bytes(text.encode(errors="surrogateescape"))
    assert draft.load() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": ...},
        {"answers": {}},
        {"answers": ["data"]},
        {"answers": 3},
        {"step": "elsewhere"},
        {"step": None},
        {"cwd": "/nowhere/at/all"},
        {"cwd": 3},
        {"started": ...},
    ],
)
def test_a_draft_that_does_not_fit_is_none(tmp_path: Path, changes: dict[str, Any]) -> None:
    """One of another version, of a folder that is gone, or without an answer has nothing to go on with."""
    draft.save(begun(tmp_path, system="x"), DATA)
    damage(**changes)
    assert draft.load() is None


def test_answers_that_are_not_known_or_not_of_their_kind_are_dropped(tmp_path: Path) -> None:
    """A later version's draft, or an edited one, gives what it can."""
    draft.save(begun(tmp_path, system="x"), DATA)
    wrong = {"gone": 1, "model": ["x"], "merge": "yes", "train.lora_rank": {}, "project": None, "preset": "2gb"}
    damage(answers={"system": "x", "max_rows": None, **wrong})
    found = draft.load()
    assert found
    wizard = found.wizard()
    assert wizard.answers == {"system": "x", "max_rows": None}


def test_a_value_that_no_longer_holds_is_a_problem_of_its_step(tmp_path: Path) -> None:
    """Bounds may have changed between versions: told, and nothing is started with it."""
    draft.save(begun(tmp_path, system="x"), DATA)
    damage(answers={"train.lora_rank": 0})
    found = draft.load()
    assert found
    wizard = found.wizard()
    look(wizard)
    assert [problem.code for problem in wizard.problems("settings")] == ["value_wrong"]
    assert "value_wrong" in [problem.code for problem in wizard.problems("review")]


def test_a_state_folder_that_cannot_be_used_loses_only_the_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full or read-only home does not end the wizard."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    draft.save(Wizard(tmp_path, {"system": "x"}), DATA)
    assert draft.load() is None
    draft.drop()


def test_it_is_gone_when_it_is_dropped(tmp_path: Path) -> None:
    """A run that was started is found among the runs, not among the drafts."""
    draft.save(begun(tmp_path, system="x"), DATA)
    draft.drop()
    draft.drop()
    assert draft.load() is None


def test_answers_that_were_left_at_a_run_go_on_at_the_review(tmp_path: Path) -> None:
    """Of the run itself there is nothing to go on with."""
    draft.save(begun(tmp_path, system="x"), DATA)
    damage(step="training")
    found = draft.load()
    assert found is not None and found.step == "review"
