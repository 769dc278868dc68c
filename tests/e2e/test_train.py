"""A run from the command line: outputs, repetition, interruption, resume. On a tiny random model."""

from __future__ import annotations

import json
import os
import signal

import pytest
from safetensors.numpy import load_file

from tests.e2e.tool import events, sft, start, steps_done, train_config, wait_for

pytestmark = pytest.mark.usefixtures("private_home")
OUTPUTS = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "trainer_log.jsonl",
    "trainer_state.json",
    "train_results.json",
    "all_results.json",
    "training_loss.png",
)


def test_a_run_writes_what_llamafactory_users_look_for_and_is_left_alone_when_repeated(tmp_path, tiny_model):
    """Its plan can be read before anything happens, and comes true. Scripts that read output_dir go on working; a

    requeued job does not train twice; --fresh loses nothing.
    """
    config = train_config(tmp_path, tiny_model, val_size=0.1, num_train_epochs=1.5)
    plan = sft("--replay", config, "--dry-run", "--json", cwd=tmp_path)
    assert plan.returncode == 0, plan.stderr
    training = json.loads(plan.stdout)["training"]
    assert (training["samples"], training["held_back"]) == (36, 4)
    assert (training["steps_per_epoch"], training["steps"]) == (9, 14)
    assert not (tmp_path / "saves").exists()

    first = sft("--replay", config, "--json", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "from the cache" in first.stderr
    summary = json.loads(first.stdout)
    out = tmp_path / "saves" / "out"
    assert summary["outputs"] == {"adapter": str(out)}
    for name in OUTPUTS:
        assert (out / name).exists(), name
    assert not list(out.rglob("training_args.bin"))
    assert all(tensor.dtype == "float32" for tensor in load_file(out / "adapter_model.safetensors").values())
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == str(tiny_model)
    log = [json.loads(line) for line in (out / "trainer_log.jsonl").read_text().splitlines()]
    assert [line["current_steps"] for line in log[:10]] == list(range(1, 11))
    assert {"total_steps", "loss", "lr", "epoch", "percentage", "elapsed_time", "remaining_time"} <= log[0].keys()
    runs = out / "logs"
    assert (runs / "train.log").resolve() == (runs / summary["run"] / "train.log").resolve()
    assert list((runs / summary["run"] / "tensorboard").iterdir())
    steps = [event for event in events(runs) if event["type"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, 15))
    assert next(event for event in events(runs) if "samples" in event)["tokens"] == training["tokens"]
    facts = {event["what"]: event for event in events(runs) if event["type"] == "log"}
    assert facts["step"]["recompute"] == 0 and facts["step"]["predicted"]["weights"] > 0 < facts["step"]["free"]
    assert facts["memory"]["predicted"] > 0 < facts["memory"]["ratio"]

    before = (out / "adapter_model.safetensors").stat().st_mtime_ns
    again = sft("--replay", config, "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["already_done"] is True
    assert (out / "adapter_model.safetensors").stat().st_mtime_ns == before

    fresh = sft("--replay", config, "--fresh", cwd=tmp_path)
    assert fresh.returncode == 0, fresh.stderr
    aside = [path for path in out.parent.iterdir() if path.name.startswith("out.")]
    assert (aside[0] / "adapter_model.safetensors").stat().st_mtime_ns == before


@pytest.mark.slow
def test_another_config_does_not_take_a_folder_that_holds_results(tmp_path, tiny_model):
    """Nobody loses an adapter because two configs name the same folder."""
    assert sft("--replay", train_config(tmp_path, tiny_model), cwd=tmp_path).returncode == 0
    other = train_config(tmp_path, tiny_model, lora_rank=2)
    refused = sft("--replay", other, cwd=tmp_path)
    assert refused.returncode == 2
    assert "another config" in refused.stderr
    assert sft("--replay", other, "--set", "overwrite_output_dir=true", cwd=tmp_path).returncode == 0
    assert len([path for path in (tmp_path / "saves").iterdir() if path.is_dir()]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_an_interrupted_run_resumes_to_the_very_same_weights(tmp_path, tiny_model, number, code):
    """Ctrl+C or a scheduler's SIGTERM costs nothing: the same command goes on, dropout and data order included."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        train_config(folder, tiny_model, num_train_epochs=30.0, save_steps=1000)
    process = start("--replay", "train.yaml", cwd=cut)
    wait_for(lambda: steps_done(cut / "saves/out/logs") >= 5, process=process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "Traceback" not in said
    done = steps_done(cut / "saves/out/logs")
    assert 5 <= done < 300
    assert (cut / f"saves/out/checkpoint-{done}/MANIFEST.json").exists()

    second = sft("--replay", "train.yaml", cwd=cut)
    assert second.returncode == 0, second.stderr
    assert f"Resuming from step {done}" in second.stderr
    assert sft("--replay", "train.yaml", cwd=whole).returncode == 0
    a, b = (load_file(folder / "saves/out/adapter_model.safetensors") for folder in (whole, cut))
    assert all((a[name] == b[name]).all() for name in a)


@pytest.mark.slow
def test_without_a_terminal_a_run_ends_with_its_viewer_and_keeps_its_work(tmp_path, tiny_model):
    """A cancelled CI job leaves no orphan that eats the machine, and no lost steps either."""
    train_config(tmp_path, tiny_model, num_train_epochs=200.0, save_steps=10_000)
    process = start("--replay", "train.yaml", cwd=tmp_path)
    runs = tmp_path / "saves/out/logs"
    wait_for(lambda: steps_done(runs) >= 3, process=process)
    process.kill()
    process.communicate()
    last = wait_for(lambda: next((e for e in events(runs) if e["type"] == "finished"), None), 30)
    assert last["outcome"] == "stopped"
    assert (tmp_path / f"saves/out/checkpoint-{steps_done(runs)}/MANIFEST.json").exists()


@pytest.mark.slow
def test_a_killed_worker_is_reported_and_the_next_run_goes_on_from_its_checkpoint(tmp_path, tiny_model):
    """After the out-of-memory killer a person reads what happened, and has not lost what was saved."""
    train_config(tmp_path, tiny_model, num_train_epochs=30.0, save_steps=4)
    process = start("--replay", "train.yaml", cwd=tmp_path)
    runs = tmp_path / "saves/out/logs"
    wait_for(lambda: steps_done(runs) >= 10, process=process)
    pid = next(event["pid"] for event in events(runs) if event["type"] == "run_started")
    os.kill(pid, signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "SIGKILL" in said
    assert "Traceback" not in said
    second = sft("--replay", "train.yaml", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "Resuming from step" in second.stderr


def test_a_folder_in_use_says_by_whom(tmp_path, tiny_model):
    """Two runs never write into one folder."""
    train_config(tmp_path, tiny_model, num_train_epochs=300.0, save_steps=10_000)
    process = start("--replay", "train.yaml", cwd=tmp_path)
    runs = tmp_path / "saves/out/logs"
    wait_for(lambda: steps_done(runs) >= 1, process=process)
    pid = next(event["pid"] for event in events(runs) if event["type"] == "run_started")
    refused = sft("--replay", "train.yaml", cwd=tmp_path)
    assert refused.returncode == 3
    assert str(pid) in refused.stderr
    process.terminate()
    process.communicate(timeout=60)
