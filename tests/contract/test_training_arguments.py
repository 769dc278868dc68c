"""The table of keys against the installed transformers: an upgrade that adds, drops or retypes a key fails here."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import resources

import pytest
import yaml
from transformers import TrainingArguments

from engine.config.schema import TrainConfig, fields
from engine.train import work

KEYS = yaml.safe_load(resources.files("engine.config").joinpath("keys.yaml").read_text(encoding="utf-8"))
OFFICIAL = {field.name: field for field in dataclasses.fields(TrainingArguments) if field.init}
OURS = set(fields(TrainConfig))
PLACES = {"schema": OURS, **{name: set(KEYS[name]) for name in ("passed", "no_effect", "refused", "secrets")}}
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
    unknown = set(OFFICIAL) - set().union(*PLACES.values(), KEYS["aliases"])
    assert not unknown, f"in transformers.TrainingArguments, but not in keys.yaml or schema.py: {sorted(unknown)}"


def test_no_key_has_two_places():
    """Passed and refused at once: which one wins would depend on the order of the code."""
    seen = {}
    for place, names in PLACES.items():
        for name in names:
            assert name not in seen, f"{name} is both in {seen[name]} and in {place}"
            seen[name] = place
    assert not set(KEYS["llamafactory"]) & set(seen)


def test_every_passed_key_is_still_known_to_transformers():
    """A key that was dropped would end the run with a TypeError after the model was loaded."""
    gone = set(KEYS["passed"]) - set(OFFICIAL)
    assert not gone, f"passed on to transformers.TrainingArguments, which no longer has: {sorted(gone)}"


def test_keys_that_the_engine_sets_itself_are_not_passed_as_well():
    """The same keyword twice is a TypeError, except where the call merges them on purpose."""
    source = inspect.getsource(work._trainer)
    call = source[source.index("TrainingArguments(") : source.index("trainer = StepTrainer")]
    twice = [name for name in KEYS["passed"] if f"\n        {name}=" in call]
    assert not twice


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
