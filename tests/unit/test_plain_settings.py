"""Settings and review at plain prompts: whatever can be done or read on the screen can be here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.wizard.beginning import look_back
from engine.wizard.session import Wizard
from engine.wizard.steps import step
from tests.unit.wizards import HubDesk, Script, begun, pick
from tui.asking import Asker
from tui.plain import Dialogue


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """No model, run or draft of the person who runs the tests."""


def settings(cwd: Path, *lines: Any) -> tuple[Wizard, Script]:
    """These lines at the settings, then the end of input where there are too few."""
    wizard, script = begun(cwd, desk=HubDesk()), Script(lines)
    assert Asker(wizard, HubDesk(), script).step(step("settings"))
    return wizard, script


def review(cwd: Path, *lines: Any, **answers: Any) -> tuple[Dialogue, Script]:
    """These lines at the review; the last but one starts."""
    wizard, script, desk = begun(cwd, desk=HubDesk(), **answers), Script(lines), HubDesk()
    dialogue = Dialogue(wizard, desk, script, lambda folder: None, look_back)
    dialogue._review()
    return dialogue, script


def test_settings_tell_what_they_mean_and_what_follows(tmp_path: Path) -> None:
    """The list has the same words as the screen."""
    _wizard, script = settings(tmp_path, "")
    assert "lora_rank — how much the adapter can hold: 8" in script.text
    assert "an epoch," in script.text and "Disk: about" in script.text


def test_rare_settings_stand_under_headings(tmp_path: Path) -> None:
    """Each group once, in the order of the screen."""
    _wizard, script = settings(tmp_path, "a", "")
    lines = script.text.splitlines()
    places = [lines.index(f"{group}:") for group in ("Adapter", "Optimiser", "Saving and logging", "Evaluation")]
    assert places == sorted(places)


def test_a_setting_is_found_explained_and_put_back(tmp_path: Path) -> None:
    """By a word, by its number, and with its words."""
    lines = ["/ checkpoint", pick("save_steps"), "25", f"? {1}", "? packing", "? xyzzy", "?"]
    wizard, script = settings(tmp_path, *lines, lambda script: f"x {pick('save_steps')(script)}", "/", "")
    assert "train.save_steps" not in wizard.answers
    assert "Several samples in one row" in script.text and "Nothing mentions xyzzy." in script.text
    assert "x NUMBER takes the default again" in script.text
    assert "── " in script.text  # an explanation of the first that was found


def test_a_number_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Odd input changes nothing."""
    wizard, script = settings(tmp_path, "x", "x 99", "? 99", "0", "/", "/ ", "x x", "")
    assert wizard.answers == {} and "is not one of the choices" in script.text


def test_a_word_is_explained_at_any_question(tmp_path: Path) -> None:
    """`?` with a word behind it."""
    wizard, script = begun(tmp_path, desk=HubDesk()), Script(["? epoch", "4"])
    assert Asker(wizard, HubDesk(), script).question(next(iter(wizard.questions("preset"))))
    assert "epoch: One pass over all samples." in script.text


def test_the_review_says_what_starts_and_shows_the_yaml(tmp_path: Path) -> None:
    """Before anything is written."""

    def nothing_yet(script: Script) -> str:
        assert not (tmp_path / "p").exists()
        return "y"

    _dialogue, script = review(tmp_path, nothing_yet, "? merge", "", project="p")
    assert "Start: train 30 steps, merge, about" in script.text
    assert "lora_rank: 8" in script.text and "merge: Making one model" in script.text
    assert (tmp_path / "p/config.yaml").is_file()


def test_differences_are_seen_before_anything_makes_room(tmp_path: Path) -> None:
    """Also where replacing was said before they were seen."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p/config.yaml").write_text("version: 1\nmine: yes\n")
    lines = ["d", pick("Replace files"), "yes", "", ""]
    _dialogue, script = review(tmp_path, *lines, project="p")
    assert "-mine: yes" in script.text and "+project: p" in script.text
    assert [path.read_text() for path in (tmp_path / "p").glob("config.yaml.*")] == ["version: 1\nmine: yes\n"]

    (tmp_path / "q").mkdir()
    (tmp_path / "q/config.yaml").write_text("mine: no\n")
    seen: list[str] = []

    def look(script: Script) -> str:
        seen.append(script.text)
        return ""

    review(tmp_path, look, look, project="q", replace="yes")
    assert "-mine: no" not in seen[0] and "-mine: no" in seen[1]


def test_files_in_the_way_are_asked_about_at_the_start(tmp_path: Path) -> None:
    """Once they were seen to differ: whether they make room, not a way on that changes nothing."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p/config.yaml").write_text("version: 1\nmine: yes\n")
    _dialogue, script = review(tmp_path, "", "", "no", "", "yes", project="p")
    assert "Start again" not in script.text and not script.lines
    after = script.text.rpartition("-mine: yes")[2]
    assert "p holds other files of these names: config.yaml" in after and "Replace files that differ" in after
    assert [path.read_text() for path in (tmp_path / "p").glob("config.yaml.*")] == ["version: 1\nmine: yes\n"]


def test_an_answer_is_put_back_at_the_review(tmp_path: Path) -> None:
    """By its number."""
    lines = [lambda script: f"x {pick('lora_rank')(script)}", ""]
    dialogue, _script = review(tmp_path, *lines, train_lora_rank="33", project="p")
    assert "train.lora_rank" not in dialogue.wizard.answers
