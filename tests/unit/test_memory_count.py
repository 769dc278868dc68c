"""What a forecast counts of the data: the longest sample, what shorter limits would cut, rows that are packed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.config.schema import TrainConfig
from engine.data.count import count
from engine.data.cutoffs import cutoffs
from engine.data.prepare import data_files
from engine.memory.gathering import of_count

pytestmark = pytest.mark.usefixtures("private_home")


def counted(folder: Path, model: Path, **changes: Any) -> dict[str, Any]:
    """Of forty rows whose answers have 10, 20 … 400 words; chatml writes each word as at least a token."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    rows = [{"instruction": "say it", "output": "word " * 10 * at} for at in range(1, 41)]
    (data / "rows.json").write_text(json.dumps(rows))
    (data / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    settings = {"dataset": "rows", "dataset_dir": str(data), "template": "chatml", "cutoff_len": 100_000, **changes}
    config = TrainConfig(model_name_or_path=str(model), output_dir=str(folder / "out"), **settings)
    spec = {
        "config": msgspec.to_builtins(config),
        "model_path": str(model),
        "data_sha256": data_files(config),
        "force": True,
    }
    return count(spec, lambda done, total: None)


def lengths(model: Path) -> list[int]:
    """The same rows by the tokenizer alone."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    start = "<|im_start|>user\nsay it<|im_end|>\n<|im_start|>assistant\n"
    texts = [start + "word " * 10 * at + "<|im_end|>\n" for at in range(1, 41)]
    return [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]


def test_the_longest_sample_and_what_limits_would_cut(tmp_path: Path, tiny_model: Path) -> None:
    expected = lengths(tiny_model)
    found = counted(tmp_path, tiny_model)
    assert (found["samples"], found["longest"], found["longest_row"]) == (40, max(expected), max(expected))
    assert found["tokens"] == sum(expected)
    data = of_count(found)
    assert (data.shape.longest, data.shape.samples, data.shape.counted) == (max(expected), 40, True)
    assert list(data.cuts) == list(cutoffs(max(expected)))
    assert data.cuts == {limit: sum(length > limit for length in expected) for limit in cutoffs(max(expected))}


def test_rows_to_measure_on_and_packed_rows_have_lengths_of_their_own(tmp_path: Path, tiny_model: Path) -> None:
    held = counted(tmp_path, tiny_model, val_size=4)
    assert held["held_back"] == 4
    assert 0 < held["eval_longest"] <= max(lengths(tiny_model))
    longest = max(lengths(tiny_model))
    packed = counted(tmp_path, tiny_model, packing=True, cutoff_len=2 * longest)
    assert longest < packed["longest_row"] <= 2 * longest
    assert packed["longest"] == longest
    assert sum(length > limit for length in lengths(tiny_model) for limit in cutoffs(longest)[:1]) == next(
        iter(of_count(packed).cuts.values())
    ), "samples inside packed rows are counted one by one"


def test_limits_to_offer_are_round_and_shorter() -> None:
    assert cutoffs(1024) == (768, 512, 384, 256, 128)
    assert cutoffs(300) == (192, 128, 64)
    assert cutoffs(60) == ()
