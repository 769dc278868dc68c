"""`sft-wizard preprocess`: the folder that training would make of its data, once, and what it refuses."""

from __future__ import annotations

import json

import pytest

from tests.e2e.tool import sft, train_config

pytestmark = pytest.mark.usefixtures("private_home")


def test_the_folder_is_written_once_and_another_reader_can_use_it(tmp_path, tiny_model):
    """LLaMA-Factory loads it with datasets.load_from_disk, and so does this test."""
    from datasets import load_from_disk

    config = train_config(tmp_path, tiny_model, template="chatml", tokenized_path="tokens", val_size=10)
    told = sft("preprocess", config, "--json", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    made = json.loads(told.stdout)
    assert (made["exit_code"], made["folder"]) == (0, str(tmp_path / "tokens"))
    there = load_from_disk(str(tmp_path / "tokens"))
    assert {name: split.num_rows for name, split in there.items()} == {"train": 30, "validation": 10}
    for name, split in there.items():
        learnt = sum(label != -100 for labels in split["labels"] for label in labels)
        figures = {"rows": split.num_rows, "tokens": sum(map(len, split["input_ids"])), "labelled": learnt}
        assert made["splits"][name] == figures
    assert not (tmp_path / "saves").exists()

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "tokens").rglob("*")}
    again = sft("preprocess", config, cwd=tmp_path)
    assert again.returncode == 2
    assert "tokens" in again.stderr and "Traceback" not in again.stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "tokens").rglob("*")} == before


@pytest.mark.slow
def test_a_wrong_file_and_data_that_would_ruin_a_run(tmp_path, tiny_model):
    """As training would: nothing is written unless it is forced, and then it is said."""
    gone = sft("preprocess", "gone.yaml", "--json", cwd=tmp_path)
    assert gone.returncode == 2
    assert json.loads(gone.stdout)["exit_code"] == 2
    config = train_config(tmp_path, tiny_model, template="empty")
    nowhere = sft("preprocess", config, cwd=tmp_path)
    assert nowhere.returncode == 2
    assert "tokenized_path" in nowhere.stderr
    refused = sft("preprocess", config, "--out", "tokens", cwd=tmp_path)
    assert refused.returncode == 2
    assert "error: Template empty writes no end mark" in refused.stderr
    assert not (tmp_path / "tokens").exists()
    forced = sft("preprocess", config, "--out", "tokens", "--force", cwd=tmp_path)
    assert forced.returncode == 0, forced.stderr
    assert "warning: Template empty writes no end mark" in forced.stdout
    assert "train: 40 rows" in forced.stdout
    assert (tmp_path / "tokens" / "dataset_dict.json").exists()
