"""Packed rows in training: what samples of one row see of each other, against transformers' own forward."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.data.encoded import Encoded, EncodeReport
from engine.train.attention import packed_rows
from engine.train.batches import Pad, TokenRows
from engine.train.packing import IGNORED, packed_inputs, spread, unpad
from tests.unit.test_step import VOCABULARY, build

LENGTHS = [[7, 5], [9], [3, 4, 6]]


def packed(*, neat):
    """Three rows of one to three samples, in which the first third of every sample is not learnt."""
    rng = np.random.default_rng(0)
    flat = [length for row in LENGTHS for length in row]
    ids = rng.integers(3, VOCABULARY, sum(flat)).astype(np.int32)
    labels = np.concatenate([np.where(np.arange(n) < n // 3, IGNORED, 1) for n in flat])
    labels = np.where(labels == 1, ids, IGNORED).astype(np.int32)
    parts, offsets = (np.cumsum([0, *sizes]) for sizes in (flat, [sum(row) for row in LENGTHS]))
    return Encoded(ids, labels, offsets, EncodeReport(32), parts, neat)


def summed(model, batch, positions=None):
    """The sum of transformers' own losses over all labels, each row by itself and without padding."""
    total = 0.0
    for sample in unpad({**batch, "attention_mask": (batch["attention_mask"] > 0).long()}):
        own = {} if sample.positions is None else {"position_ids": sample.positions[None]}
        ones = torch.ones_like(sample.ids)[None]  # without a mask transformers would tell the samples apart
        logits = model(input_ids=sample.ids[None], attention_mask=ones, **own).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, sample.labels[1:], ignore_index=IGNORED, reduction="sum")
    return total


def through_packed_step(model, batch):
    with packed_rows():
        return model(**packed_inputs(unpad(batch)))["loss"]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_neat_rows_are_their_samples(kind):
    """A sample that saw its neighbour would learn from a context that it never has later."""
    rows = TokenRows(packed(neat=True))
    batch = Pad(0)([rows[index] for index in range(3)])
    assert batch["attention_mask"][2].tolist() == [1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3]
    alone = spread(batch)
    assert alone["input_ids"].shape == (6, 9)
    expected = summed(build(kind, False), alone)
    torch.testing.assert_close(through_packed_step(build(kind, True), batch), expected)
    torch.testing.assert_close(through_packed_step(build(kind, True), alone), expected)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_plain_rows_are_one_text_whose_positions_start_again(kind):
    """As LLaMA-Factory trains them: each row through transformers' model with these position ids and a full mask."""
    rows = TokenRows(packed(neat=False))
    batch = Pad(0)([rows[index] for index in range(3)])
    assert spread(batch) is batch
    assert batch["position_ids"][0].tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 0]
    expected = summed(build(kind, False), batch)
    torch.testing.assert_close(through_packed_step(build(kind, True), batch), expected)
    apart = TokenRows(packed(neat=True))
    other = through_packed_step(build(kind, True), Pad(0)([apart[index] for index in range(3)]))
    assert abs(other - expected) > 1e-3  # else this test shows nothing


def test_sample_for_the_check_is_a_whole_one():
    rows = TokenRows(packed(neat=False))
    assert [len(rows.tokens(index).ids) for index in range(3)] == [7, 9, 3]
    assert rows.tokens(0).positions is None
