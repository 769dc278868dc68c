"""Names of optimisers: a slip is refused where a config is read, what needs a package before a run is begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.checking import check_value
from engine.config.jobs import load_job
from engine.config.optimisers import PACKAGES, require
from engine.config.schema import TrainConfig
from engine.config.values import expected
from engine.errors import ConfigError, EnvironmentProblem
from engine.messages import render
from tests.unit.wizards import begun

FILE = "model_name_or_path: m\ndataset: d\noutput_dir: o\noptim: {name}\n"


def test_a_name_that_is_none_is_refused_where_it_stands(tmp_path: Path) -> None:
    """With its line, those that look like it and what they need, and those that need nothing."""
    file = tmp_path / "train.yaml"
    file.write_text(FILE.format(name="adamw_torch_8bits"))
    with pytest.raises(ConfigError) as caught:
        load_job(file)
    problem = caught.value.problems[0]
    assert (problem.code, problem.key, problem.line) == ("optimiser_unknown", "optim", 4)
    told = render(problem)
    assert "Did you mean adamw_torch_8bit (torchao), " in told and "need none: adamw_torch, adamw_torch_fused," in told
    file.write_text(FILE.format(name="adalomo"))
    load_job(file)


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("adamw_tourch", "adamw_torch"),
        ("AdamW-8bit", "adamw_8bit (bitsandbytes)"),
        ("page_adamw_8bit", "paged_adamw_8bit (bitsandbytes)"),
        ("stable_adam", "stable_adamw (optimi)"),
        ("X", "adamw_torch"),
        ("", "adamw_torch"),
        ("[/x]\x1b{0}" * 200, "adamw_torch"),
    ],
)
def test_the_nearest_name_comes_first(given: str, near: str) -> None:
    (problem,) = check_value(TrainConfig, "optim", given)
    assert problem.params["near"][0] == near and near in render(problem) and "\x1b" not in render(problem)


@pytest.mark.parametrize("name", ["muon", "flash_adamw", "lion", "x"])
def test_a_name_of_a_newer_transformers_is_left_to_the_run(tmp_path: Path, name: str) -> None:
    """There is no upper pin: what is like none that is known is noted, and the installed package decides."""
    file = tmp_path / "train.yaml"
    file.write_text(FILE.format(name=name))
    job = load_job(file)
    assert job.train is not None and job.train.config is not None and job.train.config.optim == name
    (note,) = [note for note in job.notes if note.key == "optim"]
    assert (note.code, note.severity, note.line) == ("optimiser_newer", "note", 4)
    assert f"knows no optimiser {name};" in render(note)
    require(name, lambda package: None)
    wizard = begun(tmp_path)
    assert wizard.answer("train.optim", name) == []
    assert [told.code for told in wizard.tree().notes] == ["optimiser_newer"] and wizard.problems("review") == []


def test_the_wizard_refuses_it_under_the_line_that_is_typed(tmp_path: Path) -> None:
    """Not once the run has begun; the value of before stays."""
    wizard = begun(tmp_path, train_optim="sgd")
    assert [problem.code for problem in wizard.answer("train.optim", "sgdd")] == ["optimiser_unknown"]
    assert wizard.value("train.optim") == "sgd"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("paged_adamw_8bit", "bitsandbytes_missing"),
        ("lion_32bit", "bitsandbytes_missing"),
        ("galore_adamw_8bit", "optimiser_package"),
        ("schedule_free_adamw", "optimiser_package"),
        ("adamw_torch_8bit", "optimiser_package"),
        ("stable_adamw", "optimiser_package"),
    ],
)
def test_a_package_that_is_missing_is_said_before_the_run(name: str, code: str) -> None:
    """Trainer would find out after the model was loaded and the data tokenised."""
    with pytest.raises(EnvironmentProblem) as found:
        require(name, lambda package: None)
    assert found.value.problems[0].code == code
    require(name, lambda package: package)


@pytest.mark.parametrize("name", [name for name, package in PACKAGES.items() if not package])
def test_the_others_need_none(name: str) -> None:
    require(name, lambda package: None)


def test_what_it_takes_is_told_by_names() -> None:
    """In the table of keys, in the wizard, and where something else was given."""
    (problem,) = check_value(TrainConfig, "optim", 5)
    assert problem.code == "value_wrong" and "one of adamw_torch, adamw_torch_fused," in render(problem)
    assert "or one that needs a package" in expected(TrainConfig, "optim").say()
