"""A run that failed is started again with what its own advice says, and the record tells what was different."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from engine.runs.folder import RunFolder
from engine.runs.status import status
from tests.e2e.tool import sft, train_config, wait_for

pytestmark = [pytest.mark.usefixtures("private_home"), pytest.mark.slow]


def events_of(run: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.events_file.read_text().splitlines()]


def newest(project: Path) -> RunFolder:
    return RunFolder(sorted((project / "saves/out/logs").glob("*T*"))[-1])


def test_the_first_advice_is_a_command_that_trains_to_the_end(tmp_path: Path, tiny_model: Path) -> None:
    """Taken from the screen as it stands there: no answer had its end left."""
    train_config(tmp_path, tiny_model, cutoff_len=4)
    failed = sft("train", "train.yaml", cwd=tmp_path)
    assert failed.returncode == 2 and "cuts the end mark off" in failed.stderr, failed.stderr
    lines = [line.strip() for line in failed.stderr.splitlines()]
    advised = next(line for line in lines if line.startswith("sft-wizard resume"))
    assert "What can be done, the likeliest first:" in lines and "--set cutoff_len=" in advised
    again = sft(*shlex.split(advised)[1:], cwd=tmp_path.parent)
    assert again.returncode == 0, again.stderr
    run = newest(tmp_path)
    (change,) = run.config()["overrides"]
    assert change in advised and run.config()["train"]["config"]["cutoff_len"] == int(change.rpartition("=")[2])
    assert (tmp_path / "saves/out/adapter_model.safetensors").exists()


def test_less_memory_goes_on_from_the_checkpoint(tmp_path: Path, tiny_model: Path) -> None:
    """What leaves the result the same does not cost the steps that are done."""
    train_config(tmp_path, tiny_model, num_train_epochs=300.0, save_steps=100_000)
    started = sft("train", "train.yaml", "--set", "max_steps=3000", "--detach", cwd=tmp_path)
    assert started.returncode == 0, started.stderr
    first = newest(tmp_path)
    wait_for(lambda: status(first).step >= 2)
    assert sft("stop", cwd=tmp_path).returncode == 0
    step = status(first).step
    batch = ("--set", "per_device_train_batch_size=1", "--set", "gradient_accumulation_steps=4")
    again = sft("resume", first.id, *batch, "--detach", "--json", cwd=tmp_path.parent)
    assert again.returncode == 0, again.stderr
    second = RunFolder(Path(json.loads(again.stdout)["folder"]))
    wait_for(lambda: status(second).step > step)
    assert next(event for event in events_of(second) if event.get("what") == "resumed")["step"] == step
    assert second.config()["overrides"] == [
        "max_steps=3000",
        "per_device_train_batch_size=1",
        "gradient_accumulation_steps=4",
    ]
    assert sft("stop", cwd=tmp_path).returncode == 0
    smaller = sft("resume", second.id, "--smaller", "--detach", "--json", cwd=tmp_path.parent)
    assert smaller.returncode == 0, smaller.stderr
    assert "Started again with less memory:" in smaller.stderr
    third = RunFolder(Path(json.loads(smaller.stdout)["folder"]))
    assert len(third.config()["overrides"]) > 3
    assert sft("stop", third.id, cwd=tmp_path).returncode == 0
    lower = sft("resume", third.id, "--set", "learning_rate=0.0005", "--detach", "--json", cwd=tmp_path.parent)
    assert lower.returncode == 0, lower.stderr
    fourth = RunFolder(Path(json.loads(lower.stdout)["folder"]))
    wait_for(lambda: status(fourth).step > status(third).step)
    steps = [event for event in events_of(fourth) if event["type"] == "step"]
    assert 0.0004 < steps[0]["lr"] < 0.0005  # of 0.001, near its beginning
    assert sft("stop", fourth.id, cwd=tmp_path).returncode == 0
    anew = sft("resume", fourth.id, "--set", "lora_rank=2", "--detach", "--json", cwd=tmp_path.parent)
    assert anew.returncode == 0, anew.stderr
    last = RunFolder(Path(json.loads(anew.stdout)["folder"]))
    wait_for(lambda: status(last).step >= 1)
    assert last.config()["overrides"][-2:] == ["lora_rank=2", "overwrite_output_dir=true"]
    assert not [event for event in events_of(last) if event.get("what") == "resumed"]
    assert len(list((tmp_path / "saves").glob("out.*"))) == 1  # what was there is moved aside, not deleted
    assert sft("stop", last.id, cwd=tmp_path).returncode == 0
