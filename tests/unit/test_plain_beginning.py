"""The first question at plain prompts: everything that the first screen offers, by number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.runs import index
from engine.runs.folder import RunFolder
from engine.runs.retry import Retry
from engine.wizard.beginning import look_back
from engine.wizard.desk import Progress, Started
from engine.wizard.session import Wizard
from tests.unit.run_shelf import shelve
from tests.unit.test_wizard_opening import made
from tests.unit.wizards import HereDesk, Script, pick
from tui.beginning import Begin, Begun
from tui.words import language, set_language


@pytest.fixture(autouse=True)
def home(private_home: Path) -> Iterator[None]:
    """Nobody's runs and drafts."""
    yield
    set_language("en")


class ResumingDesk(HereDesk):
    """Says which run was to be resumed."""

    resumed: RunFolder | None = None

    def resume(self, run: RunFolder, retry: Retry, progress: Progress) -> Started:
        self.resumed = run
        return Started(None, run.config_file, {})


def ask(cwd: Path, *lines: Any, desk: HereDesk | None = None) -> tuple[Begun, Script, list[str]]:
    """What is chosen with these lines."""
    talked: list[str] = []
    script = Script(lines)
    begun = Begin(Wizard(cwd), desk or HereDesk(), script, talked.append, look_back).ask()
    assert not script.lines
    return begun, script, talked


def test_enter_begins_where_nothing_was_done(tmp_path: Path) -> None:
    """One Enter more than the questions."""
    begun, script, _ = ask(tmp_path, "")
    assert begun.at is not None and begun.at.id == "hardware" and begun.wizard is not None
    assert "1. Begin" in script.text and "All runs" not in script.text


def test_a_project_is_opened_at_the_review(tmp_path: Path) -> None:
    """One of the current folder is listed, any other is typed; what is none is told, and the list comes again."""
    made(tmp_path, project="mine")
    begun, script, _ = ask(tmp_path, pick("Open mine"))
    assert begun.wizard and begun.at and begun.at.id == "review" and begun.untouched
    assert begun.wizard.folder() == tmp_path / "mine"
    other = tmp_path / "other"
    other.mkdir()
    begun, script, _ = ask(other, pick("Open another"), "nowhere", pick("Open another"), "../mine")
    assert "nowhere" in script.text and begun.wizard
    assert begun.wizard.folder() == tmp_path / "mine"


def test_what_a_projects_run_allows_is_offered(tmp_path: Path) -> None:
    """To go on from where it stopped is what most people come back for."""
    folder = made(tmp_path, project="mine")
    run = shelve(folder, steps=30, total=100, outcome="stopped", checkpoint=20)
    desk = ResumingDesk()
    begun, script, _ = ask(tmp_path, pick("Open mine"), "", desk=desk)
    assert "1. Resume training from step 20" in script.text
    assert desk.resumed and desk.resumed.path == run.path == (begun.run.path if begun.run else None)
    begun, *_ = ask(tmp_path, pick("Open mine"), pick("See and change"))
    assert begun.wizard and begun.at and begun.at.id == "review"


def test_a_finished_project_is_talked_to(tmp_path: Path) -> None:
    """And the question comes again after the talk."""
    folder = made(tmp_path, project="mine")
    shelve(folder, outcome="done", outputs={"adapter": str(folder / "saves"), "merged": "m"})
    _begun, _script, talked = ask(tmp_path, pick("Open mine"), pick("Talk to it"), pick("Begin"))
    assert talked == [str(folder)]


def test_runs_are_listed_opened_and_compared(tmp_path: Path) -> None:
    """The numbers of the list, several at once."""
    for name, rate in (("one", 1e-4), ("two", 2e-4), ("three", 2e-4)):
        index.note(shelve(tmp_path / name, name=name, settings={"learning_rate": rate}))
    lines = [pick("All runs"), "9", "1 2 3 1 2", "1,3", pick("two, finished")]
    begun, script, _ = ask(tmp_path, *lines)
    assert "Type numbers from 1 to 3." in script.text
    assert "Settings that differ" in script.text and "learning_rate" in script.text
    assert begun.run and begun.run.path.parent.parent.name == "two"
    begun, *_ = ask(tmp_path, pick("All runs"), "", pick("Begin"))
    assert begun.run is None


def test_the_language_changes_before_anything_is_asked(tmp_path: Path) -> None:
    """By its own name, whatever the current one is."""
    _begun, script, _ = ask(tmp_path, pick("简体中文"), "1")
    assert language() == "zh" and "English" in script.text


def test_answers_of_earlier_and_live_runs_come_first(tmp_path: Path) -> None:
    """Enter takes up what was left."""
    from engine.wizard import draft
    from engine.wizard.steps import step

    draft.save(Wizard(tmp_path, {"preset": "8gb"}), step("settings"))
    begun, script, _ = ask(tmp_path, "")
    assert begun.wizard and begun.wizard.answers == {"preset": "8gb"} and begun.at and begun.at.id == "settings"
    run = RunFolder.create(tmp_path / "logs", "fresh", {"steps": ["train"]})  # young: it may be starting
    begun, script, _ = ask(tmp_path, "")
    assert begun.run and begun.run.path == run.path
    assert "1. Watch fresh: starting" in script.text and "2. Go on with your answers" in script.text


def test_a_config_that_is_broken_is_told(tmp_path: Path) -> None:
    """With its place, and the list again."""
    folder = made(tmp_path, project="mine")
    train = folder / "configs/train_config.yaml"
    train.write_text(train.read_text() + "lora_rank_: 4\n")
    _begun, script, _ = ask(tmp_path, pick("Open mine"), pick("Begin"))
    assert "lora_rank_" in script.text and str(train) in script.text
    with pytest.raises(ConfigError):
        ask(tmp_path, ConfigError)
    assert json.loads((folder / "data/dataset_info.json").read_text())
