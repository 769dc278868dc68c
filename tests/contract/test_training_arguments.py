"""The table of keys against the installed transformers: an upgrade that adds, drops or retypes a key fails here."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from typing import get_args

import pytest
from transformers import Seq2SeqTrainingArguments, TrainingArguments
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from engine.config.fates import key_table, status
from engine.config.key import Scheduler
from engine.config.optimisers import PACKAGES
from engine.config.schema import TrainConfig, fields
from engine.train import arguments

KEYS = key_table()
OFFICIAL = {field.name: field for field in dataclasses.fields(TrainingArguments) if field.init}
OURS = set(fields(TrainConfig))
# How a YAML value of each kind is told from the others.
KINDS = {bool: "bool", int: "int", float: "float", str: "str", dict: "dict", list: "list", type(None): "null"}
# Defaults of ours that are not transformers': training and logging more often is what this tool is for.
DIFFERENT = {"do_train", "output_dir", "logging_steps", "report_to"}
CHOICES = {
    "logging_strategy": "steps",
    "log_level": "passive",
    "log_level_replica": "warning",
    "hub_strategy": "every_save",
    "train_sampling_strategy": "random",
}


def test_every_training_argument_has_a_place():
    """A key that transformers knows and we do not would be called a typo, in a file that was right yesterday."""
    asked = {field.name for field in dataclasses.fields(Seq2SeqTrainingArguments) if field.init}
    unknown = sorted(name for name in asked if status(name) is None)
    assert not unknown, f"in transformers.Seq2SeqTrainingArguments, but not in keys.yaml or schema.py: {unknown}"


def test_every_passed_key_is_still_known_to_transformers():
    """A key that was dropped would end the run with a TypeError after the model was loaded."""
    gone = set(KEYS["passed"]) - set(OFFICIAL)
    assert not gone, f"passed on to transformers.TrainingArguments, which no longer has: {sorted(gone)}"


def test_keys_that_the_engine_sets_itself_are_not_passed_as_well():
    """One would undo the other without a word, except where a person may overrule the engine."""
    source = ast.parse(inspect.getsource(arguments.training_arguments))
    parts = next(node for node in ast.walk(source) if isinstance(node, ast.Dict) and len(node.keys) > 10)
    written = {key.value for key in parts.keys if isinstance(key, ast.Constant)}
    assert {"learning_rate", "remove_unused_columns"} <= written
    assert written & set(KEYS["passed"]) <= {"dataloader_pin_memory"}


@pytest.mark.parametrize("name", KEYS["passed"])
def test_a_passed_key_is_accepted_at_its_default(name, tmp_path):
    """Writing down the default must change nothing; and the default must be of a kind that the table allows."""
    if name not in OFFICIAL:
        pytest.skip("named by the test above")
    default = getattr(TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none"), name)
    field = OFFICIAL[name]
    written = field.default if field.default is not dataclasses.MISSING else default
    if not isinstance(written, tuple(KINDS)) or hasattr(written, "value"):
        written = CHOICES.get(name, getattr(written, "value", None))
    kind, allowed = KINDS[type(written)], KEYS["passed"][name]
    assert kind in allowed or (kind == "int" and "float" in allowed), f"{name}: default {written!r} is not {allowed}"
    TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none", **{name: written})


def test_schema_keys_that_transformers_has_mean_the_same_there():
    """A learning rate that is another when the line is left out: only those listed above, so never by accident."""
    differing = {
        name
        for name in OURS & set(OFFICIAL)
        if OFFICIAL[name].default is not dataclasses.MISSING
        and fields(TrainConfig)[name].default != getattr(OFFICIAL[name].default, "value", OFFICIAL[name].default)
    }
    assert differing <= DIFFERENT, sorted(differing - DIFFERENT)


def test_every_optimiser_of_transformers_is_in_the_table():
    """One that is not would be noted as unknown, or refused as a slip of another."""
    unknown = {one.value for one in OptimizerNames} - set(PACKAGES)
    assert not unknown, f"in transformers.OptimizerNames, but not in engine/config/optimisers.py: {sorted(unknown)}"


def test_every_schedule_that_is_offered_is_known_to_transformers():
    """greedy, which newer versions have, needs a figure to go by, as a run measures it, and is not offered."""
    known = {one.value for one in SchedulerType}
    assert set(get_args(Scheduler)) == known - {"greedy"}
