"""`sft-wizard keys`: the whole table, and what becomes of each key of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from engine.config.explaining import Explained, explain
from engine.config.fates import known_keys, status
from engine.config.listing import rows
from engine.errors import ConfigError
from tui.cli import app
from tui.keys import show_file, show_table
from tui.words import set_language

FILE = """\
model_name_or_path: m
stage: sft
dataset: d
output_dir: o
hub_token: hf_verysecret
deepspeed: examples/deepspeed/ds_z3_config.json
use_cache: false
evaluation_strategy: steps
val_size: 0.1
vllm_maxlen: 4096
neftune_noise_alpha: 5
lora_alpha: null
"""
WRONG = "use_kt: true\nlearing_rate: 1\nlora_rank: 0\ntemplate: llama\n"


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def outcomes(found: Explained) -> dict[str, str]:
    return {key.key: key.outcome for key in found.keys}


GOOD = {
    "model_name_or_path": "used",
    "stage": "used",
    "dataset": "used",
    "output_dir": "used",
    "hub_token": "used",
    "deepspeed": "no effect",
    "use_cache": "no effect",
    "evaluation_strategy": "older name",
    "val_size": "used",
    "vllm_maxlen": "default",
    "neftune_noise_alpha": "passed on",
    "lora_alpha": "used",
}


def test_each_key_of_a_file_that_runs(tmp_path: Path) -> None:
    found = explain(put(tmp_path / "t.yaml", FILE))
    assert (found.kind, found.runs, found.rest) == ("train", True, [])
    assert outcomes(found) == GOOD
    assert [key.line for key in found.keys] == list(range(1, 13))


def test_each_key_of_a_file_that_does_not(tmp_path: Path) -> None:
    """What is right is still told beside what is wrong: that is when people ask."""
    found = explain(put(tmp_path / "t.yaml", FILE + WRONG))
    assert not found.runs
    wrong = {"use_kt": "refused", "learing_rate": "unknown", "lora_rank": "wrong", "template": "refused"}
    assert outcomes(found) == GOOD | wrong


def test_what_is_missing_belongs_to_no_key(tmp_path: Path) -> None:
    found = explain(put(tmp_path / "t.yaml", "stage: sft\ndataset: d\noutput_dir: o\n"))
    assert [(problem.code, problem.key) for problem in found.rest] == [("missing_key", "model_name_or_path")]
    assert not found.runs
    between = explain(put(tmp_path / "t.yaml", FILE + "bf16: true\nfp16: true\n"))
    assert (outcomes(between)["fp16"], outcomes(between)["bf16"]) == ("wrong", "used")


def test_the_parts_of_a_project(tmp_path: Path) -> None:
    put(tmp_path / "merge.yaml", "model_name_or_path: m\nadapter_name_or_path: a\nexport_dir: e\nlearning_rate: 1\n")
    text = "project: p\nmerge: merge.yaml\ntrain:\n  model_name_or_path: m\n  dataset: d\n  output_dir: o\n  fsdp: x\n"
    found = explain(put(tmp_path / "config.yaml", text))
    assert (found.kind, found.runs) == ("project", True)
    assert outcomes(found)["project"] == "used"
    places = {(Path(key.file).name, key.key): (key.line, key.outcome) for key in found.keys}
    assert places["merge.yaml", "learning_rate"] == (4, "no effect")
    assert places["config.yaml", "fsdp"] == (7, "no effect")
    assert explain(tmp_path, ["train.lora_rank=0"]).runs is False


def test_a_file_for_chat_and_one_for_export(tmp_path: Path) -> None:
    chat = explain(put(tmp_path / "c.yaml", "model_name_or_path: m\ninfer_backend: vllm\nlora_rank: 4\n"))
    assert (chat.kind, outcomes(chat)["infer_backend"], outcomes(chat)["lora_rank"]) == (
        "chat",
        "no effect",
        "no effect",
    )
    merged = explain(put(tmp_path / "t.yaml", FILE), ["export_dir=out"])
    assert merged.kind == "merge" and merged.runs
    assert [problem.code for problem in merged.rest] == ["merge_of_training"]


def test_the_table_has_every_key_once() -> None:
    listed = [row.key for row in rows()]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(known_keys())
    assert all(row.status == status(row.key) for row in rows())
    assert all(str(row.text) for row in rows() if row.status != "passed")


@pytest.fixture(params=["en", "zh"])
def _language(request: pytest.FixtureRequest) -> Iterator[None]:
    set_language(request.param)
    yield
    set_language("en")


@pytest.mark.usefixtures("_language")
@pytest.mark.parametrize("shown", ["table", "file"])
def test_it_is_read_at_80_columns(shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A Chinese character takes two of them."""
    if shown == "table":
        assert show_table(False, False) == 0
    else:
        show_file(put(tmp_path / "t.yaml", FILE + WRONG + f"run_name: {'名' * 30}\n"), [], False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 20
    assert [line for line in lines if cell_len(line) > 80 and str(tmp_path) not in line] == []


def test_a_secret_is_shown_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = put(tmp_path / "t.yaml", FILE)
    assert (show_file(file, [], False), show_file(file, [], True)) == (0, 0)
    shown = capsys.readouterr().out
    assert "hub_token" in shown and "verysecret" not in shown


def test_the_command(tmp_path: Path) -> None:
    """The exit code is what a script goes by."""
    file = put(tmp_path / "t.yaml", FILE)
    run = CliRunner().invoke
    assert run(app, ["keys", str(file)]).exit_code == 0
    assert run(app, ["keys", str(file), "--lora_rank", "8", "seed=1"]).exit_code == 0
    changed = run(app, ["keys", str(file), "--json", "--lora_rank", "0"])
    assert changed.exit_code == 2
    found = json.loads(changed.stdout)
    assert (found["runs"], found["kind"]) == (False, "train")
    wrong = next(key for key in found["keys"] if key["outcome"] == "wrong")
    assert (wrong["key"], wrong["problems"][0]["code"]) == ("lora_rank", "value_wrong")
    whole = json.loads(run(app, ["keys", "--json"]).stdout)
    assert {row["key"] for row in whole} == set(known_keys())
    assert {"key", "status", "part", "default"} <= whole[0].keys()


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = put(tmp_path / "t.yaml", "a: [\n")
    with pytest.raises(ConfigError):
        show_file(file, [], True)
    assert json.loads(capsys.readouterr().out)["problems"][0]["code"] == "yaml_syntax"
