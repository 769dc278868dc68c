"""A project that is opened is the one that was written: no answer is lost, and what cannot be asked is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.project import apply_project, plan_project
from engine.wizard import draft
from engine.wizard.opening import open_project
from engine.wizard.steps import step
from tests.unit.test_wizard_session import GOOD, ODD
from tests.unit.wizards import HereDesk, HubDesk, begun, look, quiet

ODD_COLUMNS = {"map_prompt": "ask", "map_query": "topic", "map_response": "say"}


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """Nobody's presets."""


def made(cwd: Path, *free: float, **answers: Any) -> Path:
    """The folder of a project of these answers."""
    wizard = begun(cwd, *free, **answers)
    HereDesk(*free).start(wizard, quiet)
    return wizard.folder()


def registered(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_info.json").write_text(json.dumps({name: {"file_name": f"{name}.json"} for name in names}))
    for name in names:
        (folder / f"{name}.json").write_text(json.dumps([{"instruction": "a", "input": "", "output": "b"}]))
    return folder


WAYS: dict[str, tuple[tuple[float, ...], dict[str, Any]]] = {
    "nothing answered": ((), {}),
    "names of one's own": ((), {"fill.name": 'Ada "the \u7b2c\u4e00"', "fill.author": "a team, of two"}),
    "another sample": ((), {"data": "sample:chat"}),
    "another preset": ((24,), {"preset": "8gb"}),
    "a setting of the preset": ((), {"train_lora_rank": "32"}),
    "alpha beside the rank": ((), {"train_lora_rank": "32", "train_lora_alpha": "16"}),
    "settings of all kinds": (
        (),
        {
            "train_learning_rate": "1e-4",
            "train_lr_scheduler_type": "linear",
            "train_num_train_epochs": "1",
            "train_weight_decay": "0.1",
            "train_use_dora": "yes",
            "train_max_samples": "10",
            "train_template": "chatml",
            "train_plot_loss": "no",
        },
    ),
    "without a merge": ((), {"merge": "no", "project": "other"}),
    "an own file": ((), {"data": "file", "data_file": "good.csv", "max_rows": "2", "system": "Be brief."}),
    "columns that were chosen": ((), {"data": "file", "data_file": "odd.csv", **ODD_COLUMNS, "instruction": "Say: #1"}),
    "conversations": ((), {"data": "file", "data_file": "good.csv", "data_format": "sharegpt"}),
    "a registered set": ((), {"data": "registered:{cwd}/data:two"}),
    "a model of the hub's list": ((), {"model": "hub", "model_hub": "Qwen/Qwen3-0.6B"}),
    "a folder": ((), {"model": "folder", "model_folder": "base"}),
}


@pytest.mark.parametrize(("free", "answers"), WAYS.values(), ids=list(WAYS))
def test_what_was_written_is_opened_as_it_was(tmp_path: Path, free: tuple[float, ...], answers: dict[str, Any]) -> None:
    """Answers, files, answers, files: the same files, and nobody is told of anything that would be lost."""
    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "odd.csv").write_text(ODD)
    (tmp_path / "base").mkdir()
    registered(tmp_path / "data", "one", "two")
    given = {name: value.format(cwd=tmp_path) if isinstance(value, str) else value for name, value in answers.items()}
    folder = made(tmp_path, *free, **given)
    opened = open_project(folder)
    assert opened.notes == ()
    wizard = opened.wizard(tmp_path)
    look(wizard, HereDesk())  # on a machine without a GPU, whatever it was made for
    assert {file.path: file.state for file in wizard.tree().files} == dict.fromkeys(
        (file.path for file in wizard.tree().files), "same"
    )
    assert not wizard.in_the_way() and wizard.problems("settings") == []
    draft.save(wizard, step("review"))
    kept = draft.load()
    assert kept is not None and kept.wizard().answers == wizard.answers


def test_a_start_that_made_room_is_opened_as_well(tmp_path: Path) -> None:
    """Its train config says overwrite_output_dir, which nobody answered."""
    folder = made(tmp_path, project="p")
    wizard = open_project(folder).wizard(tmp_path)
    look(wizard)
    assert wizard.answer("train.lora_rank", "16") == []
    assert wizard.replaces()  # its own files: they are kept beside
    HereDesk().start(wizard, quiet)
    assert "overwrite_output_dir: true" in (folder / "configs/train_config.yaml").read_text()
    opened = open_project(folder)
    assert opened.intact
    again = opened.wizard(tmp_path)
    look(again)
    assert again.value("train.lora_rank") == 16
    assert {file.state for file in again.tree().files} == {"same"} and again.problems("review") == []


def test_what_has_no_question_is_named(tmp_path: Path) -> None:
    """Whoever wrote more into the files by hand is told what the wizard would leave out, and of which file."""
    folder = made(tmp_path)
    train = folder / "configs/train_config.yaml"
    train.write_text(train.read_text().replace("report_to: tensorboard", "report_to: none") + "group_by_length: true\n")
    merge = folder / "configs/merge_config.yaml"
    merge.write_text(merge.read_text().replace("export_size: 5", "export_size: 2"))
    config = folder / "config.yaml"
    config.write_text(config.read_text() + "require_gpu: true\n")
    opened = open_project(folder)
    told = {Path(note.params["path"]).name: note.params["keys"] for note in opened.notes}
    assert told == {
        "train_config.yaml": ["train_sampling_strategy", "report_to"],
        "merge_config.yaml": ["export_size"],
        "config.yaml": ["require_gpu"],
    }
    wizard = opened.wizard(tmp_path)
    look(wizard)
    assert not wizard.replaces()  # only where a person says so


def test_a_key_for_experts_comes_along(tmp_path: Path) -> None:
    """It is asked nowhere else, but what a project has is kept, shown at the review and can be changed there."""
    folder = made(tmp_path)
    train = folder / "configs/train_config.yaml"
    train.write_text(train.read_text() + "\nenable_thinking: false\n")
    opened = open_project(folder)
    assert opened.intact
    wizard = opened.wizard(tmp_path)
    look(wizard)
    assert "train.enable_thinking" in [answer.question.id for answer in wizard.review()]
    assert wizard.project().settings["enable_thinking"] is False
    assert "train.enable_thinking" not in [
        question.id for question in begun(tmp_path).questions("settings", advanced=True)
    ]


def test_data_that_is_gone_is_taken_from_what_was_converted(tmp_path: Path) -> None:
    """The file may have been deleted since; its rows are in the project."""
    (tmp_path / "good.csv").write_text(GOOD)
    folder = made(tmp_path, data="file", data_file="good.csv")
    (tmp_path / "good.csv").unlink()
    opened = open_project(folder)
    assert [note.code for note in opened.notes] == ["open_data_gone"]
    assert opened.answers["data"] == f"registered:{folder}/data:good_train"


def test_data_that_is_nowhere_is_asked_for(tmp_path: Path) -> None:
    """No sample stands in for it."""
    file = tmp_path / "train.yaml"
    file.write_text("model_name_or_path: a/b\nstage: sft\ndo_train: true\ndataset: nobodys\noutput_dir: out\n")
    opened = open_project(file)
    wizard = opened.wizard(tmp_path)
    assert "open_no_data" in [note.code for note in opened.notes]
    assert [problem.code for problem in wizard.problems("data")] == ["answer_empty"]


LLAMAFACTORY = """
model_name_or_path: Qwen/Qwen3-0.6B
stage: sft
do_train: true
finetuning_type: lora
lora_target: q_proj,v_proj
dataset: one,two
template: qwen3
cutoff_len: 512
output_dir: saves/x
logging_steps: 10
learning_rate: 1.0e-4
lora_rank: 8
ddp_timeout: 180000000
deepspeed: null
"""


def test_a_project_of_llamafactory_is_opened_and_left_alone(tmp_path: Path) -> None:
    """A train config beside a dataset_info.json, without a config.yaml: its settings, in a project of its own."""
    registered(tmp_path / "theirs" / "data", "one", "two")
    (tmp_path / "theirs" / "qwen.yaml").write_text(LLAMAFACTORY)
    opened = open_project(tmp_path / "theirs")
    wizard = opened.wizard(tmp_path)
    assert opened.root is None and wizard.folder() != tmp_path / "theirs"
    assert wizard.value("data") == f"registered:{tmp_path}/theirs/data:one,two"
    assert opened.notes == ()
    look(wizard, HubDesk())
    assert [choice.value for choice in wizard.questions("data")[0].choices(wizard)].count(wizard.value("data")) == 1
    assert wizard.found("data")["rows"] == 2
    wanted = {"lora_target": "q_proj,v_proj", "template": "qwen3", "cutoff_len": 512, "learning_rate": 1e-4}
    settings = wizard.project().settings
    planned = plan_project(wizard.project(), wizard.preset())
    for name, value in {**wanted, "lora_rank": 8, "num_train_epochs": 3.0, "lr_scheduler_type": "linear"}.items():
        assert wizard.value(f"train.{name}") == value, name
    assert "warmup_ratio" in settings or wizard.value("train.warmup_ratio") in (None, 0.0)
    apply_project(wizard.project(), planned)
    again = open_project(wizard.folder())
    assert again.intact and again.answers | {"merge": True} == opened.answers | {
        "merge": True,
        "preset": again.answers["preset"],
        **{name: value for name, value in again.answers.items() if name.startswith("train.")},
    }


def test_what_is_no_project_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """And a project that is broken with file and line."""
    with pytest.raises(ConfigError) as caught:
        open_project(tmp_path)
    assert caught.value.problems[0].code == "file_is_folder"
    (tmp_path / "merge.yaml").write_text("model_name_or_path: a\nexport_dir: b\n")
    with pytest.raises(ConfigError) as caught:
        open_project(tmp_path / "merge.yaml")
    assert caught.value.problems[0].code == "open_no_project"
    folder = made(tmp_path)
    train = folder / "configs/train_config.yaml"
    train.write_text(train.read_text() + "lora_rank_: 4\n")
    with pytest.raises(ConfigError) as caught:
        open_project(folder)
    assert caught.value.problems[0].file and caught.value.problems[0].line
