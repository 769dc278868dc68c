"""A run started again with something changed: which keys leave its checkpoints of use, what is set beside the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError, EnvironmentProblem
from engine.memory.case import look
from engine.memory.lowering import SAVING, halved, lower, lowered
from engine.outputs import mark_started
from engine.runs.folder import RunFolder
from engine.runs.retry import Retry, fits_checkpoints, overridden, settings_of, started_again
from tests.unit.test_memory_fitting import LEAN, case

pytestmark = pytest.mark.usefixtures("private_home")


@pytest.mark.parametrize(
    ("settings", "config", "fits"),
    [
        ({"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8}, {}, True),
        ({"disable_gradient_checkpointing": None}, {}, True),
        ({"save_total_limit": 1}, {}, True),
        ({"cutoff_len": 512}, {}, True),
        ({"cutoff_len": 512}, {"packing": True}, False),  # other rows, other steps
        ({"cutoff_len": 512}, {"drop_long": True}, False),
        ({"learning_rate": 1e-4}, {}, True),
        ({"num_train_epochs": 9.0}, {}, False),  # another schedule
        ({"lora_rank": 4}, {}, False),
        ({"quantization_bit": 4}, {}, False),
        ({"template": "default"}, {}, False),
        ({"a key of transformers": 1}, {}, False),
    ],
)
def test_what_a_checkpoint_survives(settings: dict[str, Any], config: dict[str, Any], fits: bool) -> None:
    assert fits_checkpoints(config, settings) is fits


def test_what_was_set_before_is_set_anew() -> None:
    before = ["train.lora_rank=8", "merge.export_size=2", "questions=[a]"]
    assert overridden(before, {"lora_rank": 4, "bf16": True}, project=True) == [
        "merge.export_size=2",
        "questions=[a]",
        "train.lora_rank=4",
        "train.bf16=true",
    ]
    assert overridden(["lora_rank=8"], {"resume_from_checkpoint": None}, project=False) == [
        "lora_rank=8",
        "resume_from_checkpoint=null",
    ]


def test_settings_are_read_as_yaml() -> None:
    assert settings_of(["train.lora_rank=8", "bf16=true", "report_to=none"]) == {
        "lora_rank": 8,
        "bf16": True,
        "report_to": "none",
    }
    with pytest.raises(ConfigError):
        settings_of(["lora_rank"])


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Over, of a bare file, whose output folder it was the last to write."""
    file, output = tmp_path / "train.yaml", tmp_path / "out"
    file.write_text("stage: sft\nmodel_name_or_path: m\ndataset: d\noutput_dir: out\n")
    spec = {"file": str(file), "steps": ["train"], "cwd": str(tmp_path), "overrides": ["seed=7"]}
    made = RunFolder.create(tmp_path / "logs", "x", {**spec, "train": {"config": {"output_dir": str(output)}}})
    made.update_state(state="failed")
    output.mkdir()
    mark_started(output, "f", made.path)
    return made


def test_the_same_again_changes_nothing(run: RunFolder) -> None:
    again, notes = started_again(run, Retry())
    assert (again.overrides, again.goes_on, again.force, notes) == (["seed=7"], False, False, ())


def test_what_fits_goes_on_and_what_does_not_makes_room(run: RunFolder) -> None:
    again, _ = started_again(run, Retry({"cutoff_len": 99}, force=True))
    assert (again.overrides, again.goes_on, again.force) == (["seed=7", "cutoff_len=99"], True, True)
    anew, _ = started_again(run, Retry({"lora_rank": 4}))
    assert anew.overrides == ["seed=7", "lora_rank=4", "overwrite_output_dir=true"] and not anew.goes_on


def test_what_another_run_wrote_since_is_not_gone_on_with(run: RunFolder, tmp_path: Path) -> None:
    mark_started(tmp_path / "out", "f", tmp_path / "logs" / "another")
    again, _ = started_again(run, Retry({"cutoff_len": 99}))
    assert not again.goes_on and again.overrides[-1] == "overwrite_output_dir=true"


# Less memory


def test_less_than_the_leanest_plan_needed_and_no_more_than_is_free() -> None:
    """It ran out although it should have fitted: the same plan again would end the same way."""
    fitted = case(2 * LEAN, disable_gradient_checkpointing=None)
    changes = lowered(fitted)
    assert changes
    after = fitted.with_({name: value for change in changes for name, value in change.settings.items()})
    assert look(after).least <= (1 - SAVING) * look(fitted).least
    tight = case(look(fitted).least // 2, disable_gradient_checkpointing=None)
    much = tight.with_({name: value for change in lowered(tight) for name, value in change.settings.items()})
    assert look(much).least <= tight.free


def test_where_nothing_is_known_the_batch_is_halved_and_then_the_samples() -> None:
    (batch,) = halved(case(0).config)
    assert batch.settings == {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4} and batch.exact
    (cutoff,) = halved(case(0, per_device_train_batch_size=1, cutoff_len=1000).config)
    assert cutoff.settings == {"cutoff_len": 500}
    assert halved(case(0, per_device_train_batch_size=1, cutoff_len=200).config) == ()


def test_a_job_without_a_model_is_halved_and_then_refused(tmp_path: Path) -> None:
    """The model's folder is gone, or its kind is not known: there is no estimate."""
    file = tmp_path / "train.yaml"
    file.write_text("stage: sft\nmodel_name_or_path: ./none\ndataset: d\noutput_dir: out\n")
    (change,) = lower(file, ["per_device_train_batch_size=2", "cutoff_len=200"], cwd=tmp_path)
    assert change.settings["per_device_train_batch_size"] == 1
    with pytest.raises(EnvironmentProblem) as caught:
        lower(file, ["per_device_train_batch_size=1", "cutoff_len=200"], cwd=tmp_path)
    assert caught.value.problems[0].code == "nothing_smaller"
