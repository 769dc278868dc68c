"""What a person may have come back for is found where it lies, and nothing else is taken for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.runs import index
from engine.runs.folder import RunFolder
from engine.wizard import draft
from engine.wizard.beginning import MOST, SUBFOLDERS, is_project, look_back, newest, projects
from engine.wizard.session import Wizard
from engine.wizard.steps import step
from tests.unit.run_shelf import shelve
from tests.unit.test_wizard_opening import made


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """Nobody's runs and drafts."""


def test_what_decides_comes_first_and_the_projects_after_it(tmp_path: Path) -> None:
    """A slow disk under the current folder keeps nobody from a run that lives."""
    folder = made(tmp_path, project="mine")
    alive = RunFolder.create(folder / "logs", "mine", {"steps": ["train"]})  # young, so it may be starting
    index.note(alive)
    index.note(shelve(tmp_path / "gone" / "old"))
    draft.save(Wizard(tmp_path, {"preset": "8gb"}), step("data"))
    first, second = look_back(tmp_path)
    assert [seen.run.path for seen in first.live] == [alive.path] and first.draft and first.runs == 2
    assert not first.projects and not first.whole
    assert [project.folder for project in second.projects] == [folder] and second.whole
    assert second.projects[0].newest and second.projects[0].newest.status.state == "starting"


def test_projects_of_runs_of_here_and_of_subfolders(tmp_path: Path) -> None:
    """The newest first, each once; one that is elsewhere is known by its runs."""
    here = tmp_path / "here"
    here.mkdir()
    made(here, project="sub")
    elsewhere = made(tmp_path, project="elsewhere")
    run = shelve(elsewhere)
    os.utime(run.state_file, (4e9, 4e9))
    assert [found.folder for found in projects(here, [run])] == [elsewhere, here / "sub"]
    assert [found.folder for found in projects(elsewhere, [])] == [elsewhere]
    assert newest(here / "sub") is None


def test_the_checkpoint_of_the_newest_run_is_looked_up(tmp_path: Path) -> None:
    """It is the step that the offer names."""
    folder = made(tmp_path, project="mine")
    shelve(folder, steps=5)
    shelve(folder, steps=30, total=90, outcome="stopped", checkpoint=20)
    seen = newest(folder)
    assert seen and (seen.status.state, seen.status.step, seen.checkpoint) == ("stopped", 30, 20)


def test_nothing_else_is_taken_for_a_project(tmp_path: Path) -> None:
    """Run folders hold a config.yaml too; so do other tools' folders, and files that are no YAML at all."""
    run = shelve(tmp_path / "p")
    for name, text in {"other": "services: {}\n", "broken": "a: [\n", "model": "train: x\nmodel: y\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(text)
    (tmp_path / "folder" / "config.yaml").mkdir(parents=True)
    for folder in (run.path, *(tmp_path / name for name in ("other", "broken", "model", "folder", "nowhere"))):
        assert not is_project(folder), folder
    assert not projects(run.path.parent, [])


def test_a_folder_that_cannot_be_read_offers_nothing(tmp_path: Path) -> None:
    """Nothing is raised."""
    *_sooner, found = look_back(tmp_path / "nowhere")
    assert (found.projects, found.live, found.draft, found.runs) == ((), (), None, 0)


def test_a_list_is_never_longer_than_a_screen(tmp_path: Path) -> None:
    """Somebody's home with a thousand folders."""
    for number in range(MOST + 3):
        folder = tmp_path / f"p{number}"
        folder.mkdir()
        (folder / "config.yaml").write_text("version: 1\ntrain: t.yaml\n")
    *_sooner, found = look_back(tmp_path)
    assert len(found.projects) == MOST < SUBFOLDERS
