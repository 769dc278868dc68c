"""Packed training from data to the last measurement, against transformers' own model and LLaMA-Factory's definition.

LLaMA-Factory 0.9.5 packs the rows to measure on as well. The loss of a batch is the mean over its labels; eval_loss is
the mean over batches, whatever their size. neat_packing: a block-diagonal mask; packing: one text, position_ids start
again with each sample.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from datasets import load_from_disk
from peft import PeftModel

from tests.unit.in_process import do, toys
from tests.unit.method_toys import plain

BATCH = 2
CONFIG = {
    "do_train": True,
    "dataset": "toy",
    "template": "chatml",
    "cutoff_len": 96,
    "lora_rank": 4,
    "val_size": 7,
    "eval_strategy": "steps",
    "eval_steps": 2,
    "max_steps": 4,
    "logging_steps": 1,
    "per_device_train_batch_size": 2,
    "per_device_eval_batch_size": BATCH,
    "learning_rate": 1e-2,
    "report_to": "none",
}


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return toys(tmp_path_factory.mktemp("toys"), max_position_embeddings=512)


@torch.no_grad()
def expected_loss(model, rows, neat: bool) -> float:
    """transformers' model, row by row, with the masks and positions that LLaMA-Factory's collator makes."""
    batches = []
    for start in range(0, len(rows), BATCH):
        total, count = 0.0, 0
        for row in rows.select(range(start, min(start + BATCH, len(rows)))):
            sample = torch.tensor(row["attention_mask"])
            width = int((sample > 0).sum())  # rows are stored with their padding
            ids, labels = (torch.tensor(row[name])[None, :width] for name in ("input_ids", "labels"))
            sample = sample[:width]
            if neat:
                seen = (sample[:, None] == sample[None]).tril()
                more = {"attention_mask": torch.where(seen, 0.0, torch.finfo(torch.float32).min)[None, None]}
            else:
                more = {"position_ids": torch.tensor(row["position_ids"])[None, :width]}
                more["attention_mask"] = torch.ones_like(ids)
            logits = model(input_ids=ids, **more).logits[0, :-1]
            total += float(torch.nn.functional.cross_entropy(logits, labels[0, 1:], reduction="sum"))
            count += int((labels[0, 1:] != -100).sum())
        batches.append(total / count)
    return sum(batches) / len(batches)


def history(out: Path, name: str) -> list[float]:
    log = json.loads((out / "trainer_state.json").read_text())["log_history"]
    return [entry[name] for entry in log if name in entry]


@pytest.mark.parametrize("step", ["packed", "padded"])
@pytest.mark.parametrize("way", ["neat_packing", "packing"])
def test_packed_rows_are_measured_as_llamafactory_does_and_a_second_run_reads_them(places, tmp_path, way, step):
    """Through our own attention, and through transformers' where flash_attn asks for it."""
    config = CONFIG | places | {way: True, "tokenized_path": str(tmp_path / "tokens")}
    config |= {"flash_attn": "sdpa"} if step == "padded" else {}
    told = do(tmp_path, config | {"output_dir": str(tmp_path / "out")})
    assert next(event for event in told if event.get("what") == "step")["micro_batches"] == step
    rows = load_from_disk(str(tmp_path / "tokens"))["validation"]
    assert BATCH < len(rows) < 7 and len(rows) % BATCH, "several batches, the last a smaller one, of packed rows"
    tuned = PeftModel.from_pretrained(plain(places["model_name_or_path"]), str(tmp_path / "out")).eval()
    measured = json.loads((tmp_path / "out" / "eval_results.json").read_text())["eval_loss"]
    assert measured == pytest.approx(expected_loss(tuned, rows, way == "neat_packing"), rel=1e-5)
    with tuned.disable_adapter():
        assert abs(expected_loss(tuned, rows, way == "neat_packing") - measured) > 1e-3, "else this shows nothing"

    again = do(tmp_path, config | {"output_dir": str(tmp_path / "again")})
    assert next(event for event in again if event.get("what") == "data")["cached"]
    for name in ("loss", "eval_loss"):
        first, second = (history(tmp_path / folder, name) for folder in ("out", "again"))
        assert first == second and len(first) >= 2
