"""What a person sees who gives something wrong: the place, the cause, what to do; never a traceback."""

from __future__ import annotations

import json
import struct

import pytest
import yaml

from tests.e2e.tool import sft, train_config

pytestmark = pytest.mark.usefixtures("private_home")


def complain(done, code: int, *words: str) -> None:
    """The exit code, every word on stderr, and no traceback anywhere."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    for word in words:
        assert word in done.stderr, (word, done.stderr)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"output_dir": ...}, 2, ["train.yaml", "output_dir is missing"]),
        ({"lora_rnak": 8}, 2, ["train.yaml:18", "lora_rnak", "lora_rank"]),
        ({"lora_rank": "eight"}, 2, ["train.yaml:5", "whole number from 1", "'eight'"]),
        ({"modules_to_save": "lm_head"}, 2, ["additional_target"]),
        ({"template": "llama"}, 2, ["llama2 or llama3"]),
        ({"template": "chatglm"}, 2, ["chatglm3 or glm4"]),
        ({"template": "chatmll"}, 2, ["chatml"]),
        ({"dataset": "rowz"}, 2, ["rowz", "rows"]),
        ({"dataset_dir": "nowhere"}, 2, ["nowhere"]),
        ({"model_name_or_path": "./no-model"}, 2, ["no-model", "smollm2-135m"]),
        ({"use_galore": True}, 2, ["use_galore", "full"]),
    ],
)
def test_a_wrong_config_names_place_and_remedy(tmp_path, tiny_model, change, code, words):
    """Found before anything is written, in under a second or two."""
    config = train_config(tmp_path, tiny_model, **change)
    complain(sft("--replay", config.name, cwd=tmp_path), code, *words)
    assert not (tmp_path / "saves").exists()


def test_files_that_are_no_config(tmp_path, tiny_model):
    """A missing file, a folder, broken YAML, a key twice, a config for another command."""
    config = train_config(tmp_path, tiny_model)
    complain(sft("--replay", "nope.yaml", cwd=tmp_path), 2, "no file nope.yaml", "train.yaml")
    complain(sft("--replay", "data", cwd=tmp_path), 2, "data")
    (tmp_path / "broken.yaml").write_text("a: [1,\nb: 2\n")
    complain(sft("--replay", "broken.yaml", cwd=tmp_path), 2, "broken.yaml:", "not valid YAML")
    twice = config.read_text() + "stage: sft\n"
    (tmp_path / "twice.yaml").write_text(twice)
    (tmp_path / "again.yaml").write_text(config.read_text())
    complain(sft("--replay", ".", cwd=tmp_path), 2, "several configs", "train.yaml", "again.yaml")
    complain(sft("--replay", "twice.yaml", cwd=tmp_path), 2, "twice.yaml:18", "stage stands twice", "line 2")
    complain(sft("export", "train.yaml", cwd=tmp_path), 2, "export_dir=models/out")
    complain(sft("--replay", "train.yaml", "--set", "hub_token=hf_x", cwd=tmp_path), 2, "secret")
    complain(sft("--replay", "train.yaml", "--require-gpu", cwd=tmp_path), 3, "GPU is required")


def test_data_that_cannot_be_trained_on_stops_before_training_with_counts(tmp_path, tiny_model):
    """Empty file, all rows bad, a column that is not there, a cutoff that leaves no answer."""
    config = train_config(tmp_path, tiny_model)
    data = tmp_path / "data"
    (data / "empty.json").write_text("")
    (data / "bad.jsonl").write_text('{"instruction":"a","output":}\n{"instruction":5,"input":"","output":"x"}\nno\n')
    info = {
        "rows": {"file_name": "rows.json"},
        "empty": {"file_name": "empty.json"},
        "bad": {"file_name": "bad.jsonl"},
        "column": {"file_name": "rows.json", "columns": {"prompt": "qestion", "response": "output"}},
    }
    (data / "dataset_info.json").write_text(json.dumps(info))

    def run(setting: str, *options: str):
        return sft("--replay", config.name, "--set", setting, *options, cwd=tmp_path)

    complain(run("dataset=bad"), 2, "None of the 3 rows", "bad.jsonl:1:29", "bad.jsonl:2", "bad.jsonl:3:1")
    assert not list(tmp_path.glob("saves/out/checkpoint-*"))
    # What a dry run tokenises is what a run does, and it loads no torch.
    complain(run("dataset=empty", "--dry-run"), 2, "empty.json", "empty (0 bytes)")
    complain(run("dataset=column", "--dry-run"), 2, "'qestion'", "instruction, input, output")
    complain(run("cutoff_len=1", "--dry-run"), 2, "cutoff_len 1 leaves no answer in any of the 40 rows", "at least")


def test_a_secret_in_a_file_is_used_and_written_nowhere(tmp_path, tiny_model):
    """A token that stands in a LLaMA-Factory file does not end in logs, events or the resolved config."""
    canary = "hf_" + "c4n4ry" * 5
    train_config(tmp_path, tiny_model, max_steps=1, hf_hub_token=canary)
    done = sft("--replay", "train.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "holds a secret" in done.stderr
    assert canary not in done.stderr + done.stdout
    for file in (tmp_path / "saves").rglob("*"):
        assert not file.is_file() or canary.encode() not in file.read_bytes(), file


@pytest.mark.slow
def test_an_adapter_of_another_model_is_refused_with_the_shapes_that_differ(tmp_path, tiny_model):
    """Merging never produces a model out of parts that do not belong together."""
    from safetensors.numpy import load_file, save_file

    train_config(tmp_path, tiny_model, max_steps=1)
    assert sft("--replay", "train.yaml", cwd=tmp_path).returncode == 0
    weights = tmp_path / "saves/out/adapter_model.safetensors"
    tensors = load_file(weights)
    name = next(name for name in tensors if "q_proj.lora_A" in name)
    tensors[name] = tensors[name][:, :-8].copy()
    save_file(tensors, weights, {"format": "pt"})
    merge = {"model_name_or_path": str(tiny_model), "adapter_name_or_path": "saves/out", "export_dir": "merged"}
    (tmp_path / "merge.yaml").write_text(yaml.safe_dump(merge))
    complain(sft("export", "merge.yaml", cwd=tmp_path), 2, "q_proj", "24", "32")
    assert not (tmp_path / "merged").exists()


def test_damaged_weights_are_named(tmp_path, tiny_model):
    """A half-copied model is recognised by its header, before torch is asked."""
    import shutil

    broken = tmp_path / "broken-model"
    shutil.copytree(tiny_model, broken)
    (broken / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    config = train_config(tmp_path, broken)
    complain(sft("--replay", config.name, cwd=tmp_path), 2, "model.safetensors", "not a whole safetensors file")
