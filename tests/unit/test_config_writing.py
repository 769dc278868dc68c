"""Commented YAML: what is written is what LLaMA-Factory, PyYAML and we read back, and every key is explained."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml

from engine.config.reading import parse_document
from engine.config.schema import MergeConfig, TrainConfig, WizardConfig
from engine.config.writing import commented, scalar

TRICKY = [
    1e-05,
    1e-4,
    5e-324,
    1e16,
    1.7976931348623157e308,
    123456789.25,
    -0.5,
    3.0,
    0,
    -1,
    10**30,
    True,
    False,
    None,
    "",
    " ",
    " lead",
    "trail ",
    "yes",
    "No",
    "on",
    "none",
    "NULL",
    "~",
    "y",
    "1:30",
    "1e-4",
    "1_000",
    "0o17",
    ".5",
    "._5",
    ".inf",
    "...",
    "---",
    "-",
    "- item",
    "-1",
    "=",
    "<<",
    "2024-01-02",
    "a: b",
    "a #b",
    "#a",
    "a,b",
    "[a]",
    "{a}",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "`a`",
    "'",
    '"',
    "\\",
    "a\\nb",
    "line\nbreak\n",
    "tab\there",
    "C:\\models",
    "../models/my model",
    "./x",
    "/data/x.json",
    "HuggingFaceTB/SmolLM2-135M-Instruct",
    "你好,世界",
    "naïve",
    "\U0001f680",
    "\x85\u2028\u2029",
    "\x7f\x9b31m\ufeff",
    [],
    ["a", 1, None, "no"],
    {},
    {"yes": "no", "a: b": "1e-4", "c": [1, {"d": 1e-5}]},
]


@pytest.mark.parametrize("value", TRICKY, ids=repr)
def test_every_reader_gets_the_value_back(value: Any) -> None:
    text = commented(TrainConfig, {"run_name": value})
    for found in (yaml.safe_load(text)["run_name"], parse_document(text).values["run_name"]):
        assert found == value
        assert type(found) is type(value)


def test_infinity_and_nan_are_written_as_yaml() -> None:
    assert yaml.safe_load(scalar(math.inf)) == math.inf
    assert yaml.safe_load(scalar(-math.inf)) == -math.inf
    assert math.isnan(yaml.safe_load(scalar(math.nan)))


@pytest.mark.parametrize("struct", [TrainConfig, MergeConfig, WizardConfig])
def test_every_key_stands_under_its_comment(struct: Any) -> None:
    lines = commented(struct, dict.fromkeys(struct.__struct_fields__, 1), ("A title",)).splitlines()
    assert lines[0] == "# A title"
    keys = [index for index, line in enumerate(lines) if line and not line.startswith("#")]
    assert len(keys) == len(struct.__struct_fields__)
    assert all(lines[index - 1].startswith("# ") for index in keys)
    assert all(len(line) <= 120 for line in lines)


def test_a_comment_tells_the_range_people_use() -> None:
    text = commented(TrainConfig, {"lora_rank": 16, "learning_rate": 2e-4})
    assert "4–64" in text.partition("lora_rank:")[0]
    assert "1e-4 to 5e-4" in text.partition("learning_rate:")[0]


def test_a_key_outside_the_table_is_written_too() -> None:
    """A setting that passes through to TrainingArguments would otherwise be lost without a word."""
    text = commented(TrainConfig, {"lora_rank": 8, "neftune_noise_alpha": 5.0})
    assert yaml.safe_load(text) == {"lora_rank": 8, "neftune_noise_alpha": 5.0}
