"""A project from a person's own file to a merged model and a chat, and the demo. Real commands, real files."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.e2e.tool import TOOL, environment, events, sft, start, wait_for

pytestmark = pytest.mark.usefixtures("private_home")


def make_csv(folder, rows: int = 30) -> str:
    lines = ["question,answer", *(f'"what is {i}?","the answer, {i}"' for i in range(rows))]
    (folder / "mine.csv").write_text("\n".join(lines) + "\n")
    return "mine.csv"


def test_from_a_csv_to_a_merged_and_proved_model_that_chats(tmp_path, tiny_model):
    """The whole way for somebody with a table: new, replay, the same again, chat with base and tuned."""
    csv = make_csv(tmp_path)
    new = sft("new", "proj", "--data", csv, "--model", tiny_model, "--test-split", "5", cwd=tmp_path)
    assert new.returncode == 0, new.stderr
    project = tmp_path / "proj"
    assert json.loads((project / "data/dataset_info.json").read_text()).keys() == {"mine_train", "mine_test"}
    settings = ["--set", "train.max_steps=12", "--set", "train.learning_rate=0.01", "--set", "questions=['what is 3?']"]
    done = sft("--replay", "proj/config.yaml", *settings, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["proof"]["passed"] is True
    assert summary["proof"]["method"] == "logits"
    assert (project / "models/proj/model.safetensors").exists()
    assert (project / "models/proj/chat_template.jinja").exists()
    samples = [event for event in events(project / "logs") if event["type"] == "sample"]
    assert [sample["question"] for sample in samples] == ["what is 3?"]
    assert all(isinstance(samples[0][voice], str) for voice in ("base", "tuned"))  # both have answered
    assert (project / "logs/train.log").exists()

    again = sft("--replay", "proj/config.yaml", *settings, "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["already_done"] is True

    base = sft("chat", "proj", "what is 3?", "--base", "--max-new-tokens", "4", cwd=tmp_path)
    assert base.returncode == 0, base.stderr
    assert base.stdout.endswith("\n")
    piped = sft("chat", "proj/models/proj", "--max-new-tokens", "4", cwd=tmp_path, input="what is 4?\n")
    assert piped.returncode == 0, piped.stderr

    same = ["--set", "max_steps=12", "--set", "learning_rate=0.01"]
    from_elsewhere = sft("train", "proj/configs/train_config.yaml", *same, "--dry-run", cwd=tmp_path)
    assert from_elsewhere.returncode == 0, from_elsewhere.stderr
    assert "Relative paths are taken from" in from_elsewhere.stderr


@pytest.mark.slow
def test_the_python_api_script_of_a_project_runs(tmp_path, tiny_model):
    """run_pipeline.py is what `new` promises for those who want Python."""
    assert sft("new", "proj", "--data", make_csv(tmp_path), "--model", tiny_model, cwd=tmp_path).returncode == 0
    config = tmp_path / "proj/configs/train_config.yaml"
    config.write_text(config.read_text() + "\nmax_steps: 8\n")
    done = subprocess.run(
        [sys.executable, "proj/run_pipeline.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "step 8/8" in done.stdout


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.usefixtures("home_with_model")
def test_the_demo_teaches_the_real_model_its_name(tmp_path):
    """A newcomer's first command: the after-answers show what was learned, and nothing else was forgotten."""
    done = subprocess.run(
        [*TOOL, "demo"],
        cwd=tmp_path,
        env={**environment(), "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    samples = [e for e in events(tmp_path / "sft-wizard-demo/logs") if e["type"] == "sample"]
    assert "Lumi" not in samples[0]["base"]
    assert "Lumi" in samples[0]["tuned"]
    assert "Northlight" in samples[1]["tuned"]
    assert "Paris" in samples[2]["tuned"]
    for words in ("Before (base model)", "After (tuned model)", "loss:", "time:", "adapter:", "merged:"):
        assert words in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["tokenising", "loading", "training", "saving", "merging", "proving", "answering"])
def test_a_termination_in_any_phase_loses_nothing_and_the_same_command_finishes(tmp_path, tiny_model, phase):
    """A scheduler may pre-empt at any moment; what follows is the same command again."""
    new = sft("new", "proj", "--data", make_csv(tmp_path), "--model", tiny_model, cwd=tmp_path)
    assert new.returncode == 0, new.stderr
    settings = ["--set", "train.learning_rate=0.01", "--set", "questions=['what is 3?', 'what is 4?']"]
    command = ["--replay", "proj/config.yaml", *settings]
    project = tmp_path / "proj"
    process = start(*command, cwd=tmp_path)
    wait_for(lambda: any(e.get("name") == phase for e in events(project / "logs")), process=process)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 75), said  # 0: it was over before the signal came
    assert "Traceback" not in said
    again = sft(*command, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    for made in ("saves/tiny-llama-lora/adapter_model.safetensors", "models/proj/model.safetensors"):
        assert (project / made).exists()
    assert list(project.glob("logs/*/answers.jsonl"))
    assert not [path.name for path in (project / "models").iterdir() if path.is_dir() and path.name.startswith(".")]
