"""The project tree: what `new` writes is what --replay takes, says why, and never stands in for a user's own file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.config.jobs import load_job
from engine.errors import ConfigError, DataError, EnvironmentProblem, Problem
from engine.hardware import Hardware
from engine.memory.presets import recommend, shipped_presets
from engine.project import (
    ProjectAnswers,
    apply_project,
    plan_project,
    sample,
)
from engine.samples import samples
from engine.text import Phrase

CPU = Hardware((), Phrase("no GPU in this test"))


def answers(folder: Path, **changes: Any) -> ProjectAnswers:
    return ProjectAnswers(**{"folder": folder, "model": "smollm2-135m", "sample": "identity", **changes})


def make(given: ProjectAnswers, **options: Any) -> list[Path]:
    written, _ = apply_project(given, plan_project(given, recommend(CPU).preset), **options)
    return written


def problem(given: ProjectAnswers) -> Problem:
    with pytest.raises(ConfigError) as caught:
        make(given)
    return caught.value.problems[0]


def test_the_tree_is_the_one_of_the_readme(tmp_path: Path) -> None:
    written = make(answers(tmp_path / "mine"))
    found = {str(path.relative_to(tmp_path / "mine")) for path in written}
    assert found == {
        "config.yaml",
        "configs/train_config.yaml",
        "configs/merge_config.yaml",
        "data/identity.json",
        "data/dataset_info.json",
        "run_pipeline.py",
        "README.md",
    }
    assert all((tmp_path / "mine" / name).is_dir() for name in ("saves", "logs", "models"))
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in written)


@pytest.mark.parametrize("preset", shipped_presets(), ids=lambda preset: preset.name)
def test_what_is_written_is_a_job_without_a_problem_or_note(tmp_path: Path, preset: Any) -> None:
    given = answers(tmp_path)
    apply_project(given, plan_project(given, preset))
    job = load_job(tmp_path / "config.yaml", cwd=Path("/"))
    assert job.train and job.merge and job.notes == ()
    train = job.train.config
    assert (train.dataset, train.dataset_dir) == ("identity", f"{tmp_path}/data")
    assert job.merge.config.adapter_name_or_path == [train.output_dir]
    assert train.lora_alpha == 2 * train.lora_rank
    assert job.questions == list(sample("identity").questions)
    assert {name: getattr(train, name) for name in preset.settings if name not in sample("identity").settings} == {
        name: value for name, value in preset.settings.items() if name not in sample("identity").settings
    }


def test_llamafactory_can_run_the_train_config_as_it_stands(tmp_path: Path) -> None:
    """A real hub name, LLaMA-Factory's keys only, and values that its YAML reader takes for what they are."""
    make(answers(tmp_path))
    values = yaml.safe_load((tmp_path / "configs/train_config.yaml").read_text())
    assert values["model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert values["use_cpu"] is True
    assert isinstance(values["learning_rate"], float)
    entry = json.loads((tmp_path / "data/dataset_info.json").read_text())["identity"]
    rows = json.loads((tmp_path / "data" / entry["file_name"]).read_text())
    assert len(rows) > 50 and {"instruction", "output"} <= rows[0].keys()


def test_every_key_of_every_file_is_explained(tmp_path: Path) -> None:
    make(answers(tmp_path))
    for name in ("config.yaml", "configs/train_config.yaml", "configs/merge_config.yaml"):
        lines = (tmp_path / name).read_text().splitlines()
        keys = [index for index, line in enumerate(lines) if line[:1].isalpha()]
        assert keys and all(lines[index - 1].startswith("# ") for index in keys), name


def test_doing_it_twice_changes_nothing(tmp_path: Path) -> None:
    given = answers(tmp_path)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in make(given)}
    assert {planned.state for planned in plan_project(given, recommend(CPU).preset)} == {"same"}
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in make(given)} == before


def test_a_file_that_was_changed_is_not_written_over(tmp_path: Path) -> None:
    make(answers(tmp_path))
    config = tmp_path / "configs/train_config.yaml"
    config.write_text("mine: 1\n")
    (tmp_path / "README.md").unlink()
    found = problem(answers(tmp_path))
    assert (found.code, found.params["files"]) == ("exists_different", ["configs/train_config.yaml"])
    assert config.read_text() == "mine: 1\n"
    assert not (tmp_path / "README.md").exists()  # all of the plan or nothing
    make(answers(tmp_path), force=True)
    assert "learning_rate" in config.read_text()


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    assert problem(answers(tmp_path)).params["files"] == ["config.yaml"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """On a disk that is read-only or full, or under what is no folder, for whatever reason the system names."""
    (tmp_path / "file").touch()
    given = answers(tmp_path / "file" / "project")
    with pytest.raises(EnvironmentProblem) as caught:
        make(given)
    (found,) = caught.value.problems
    assert found.code == "folder_not_made" and found.params["folder"] == str(given.folder) and found.params["reason"]


def test_datasets_that_are_registered_stay_so(tmp_path: Path) -> None:
    info = tmp_path / "data" / "dataset_info.json"
    info.parent.mkdir()
    info.write_text('{"mine": {"file_name": "mine.json"}}')
    make(answers(tmp_path))
    assert json.loads(info.read_text()).keys() == {"mine", "identity"}


def test_a_broken_registry_is_told_and_kept(tmp_path: Path) -> None:
    info = tmp_path / "data" / "dataset_info.json"
    info.parent.mkdir()
    info.write_text('{"mine": ')
    with pytest.raises(DataError) as caught:
        plan_project(answers(tmp_path), recommend(CPU).preset)
    assert caught.value.problems[0].file == str(info)
    assert info.read_text() == '{"mine": '


def test_a_users_own_file(tmp_path: Path) -> None:
    source = tmp_path / "My questions.csv"
    source.write_text("question,response\nWhat is 1e-4?,A number\nWho?,You\n")
    mapping = {"prompt": "question", "response": "response"}
    given = answers(tmp_path / "p", sample=None, source=source, mapping=mapping, system="no: nonsense")
    make(given)
    job = load_job(tmp_path / "p" / "config.yaml", cwd=Path("/"))
    assert job.data and job.train
    assert (job.data.source, job.data.map, job.data.system) == (str(source), mapping, "no: nonsense")
    registered = json.loads((tmp_path / "p/data/dataset_info.json").read_text())
    assert job.train.config.dataset in registered
    rows = json.loads((tmp_path / "p/data" / registered[str(job.train.config.dataset)]["file_name"]).read_text())
    assert [row["instruction"] for row in rows] == ["What is 1e-4?", "Who?"]


def test_settings_of_the_user_win_over_sample_and_preset(tmp_path: Path) -> None:
    settings = {"lora_rank": 64, "learning_rate": 1e-5, "neftune_noise_alpha": 5.0}
    make(answers(tmp_path, settings=settings))
    job = load_job(tmp_path / "config.yaml")
    assert job.train
    assert (job.train.config.lora_rank, job.train.config.lora_alpha, job.train.config.learning_rate) == (64, 128, 1e-5)
    assert job.train.passed == {"neftune_noise_alpha": 5.0}


@pytest.mark.parametrize("name", ["a b", "日本", "x'y", "- x", "#1"])
def test_any_name_of_a_folder_works(tmp_path: Path, name: str) -> None:
    make(answers(tmp_path / name))
    job = load_job(tmp_path / name / "config.yaml")
    assert job.name == name
    assert job.merge and job.merge.config.export_dir == f"{tmp_path}/{name}/models/{name}"


def test_samples_are_complete() -> None:
    assert "identity" in samples()
    for name in samples():
        found = sample(name)
        assert found.title and 1 <= len(found.questions) <= 5 and json.loads(found.rows())
    with pytest.raises(ConfigError) as caught:
        sample("none")
    assert caught.value.problems[0].params["known"] == list(samples())
