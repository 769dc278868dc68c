"""Answers written in padded batches against generate() on each prompt alone; measuring by them while training."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from engine.data.encoded import EncodeReport, Prompts
from engine.errors import StopRequested
from engine.train.predict import PromptRows, Writer, generation_settings, while_training, write_predictions
from engine.train.trainer import StepTrainer
from tests.unit.method_toys import train_config
from tests.unit.test_step import build, make, samples

STOPS, PAD = [60, 61, 62, 63, 64, 65], 0
LENGTHS = [3, 9, 5, 12, 1]


class Letters:
    """A tokenizer of one letter a token; the stop tokens are special."""

    def decode(self, ids, skip_special_tokens):
        return "".join(chr(0x4E00 + int(i)) for i in ids if not (skip_special_tokens and int(i) in STOPS))


def prompts():
    draw = np.random.default_rng(3)
    rows = [draw.integers(3, 97, size).astype(np.int32) for size in LENGTHS]
    answers = [draw.integers(3, 97, 4).astype(np.int32) for _ in LENGTHS]
    ends = np.cumsum([0, *LENGTHS], dtype=np.int64)
    return Prompts(
        np.concatenate(rows), ends, np.concatenate(answers), np.arange(0, 4 * len(rows) + 1, 4), EncodeReport(99)
    )


def config(**changes):
    return train_config("m", **({"do_sample": False, "max_new_tokens": 8} | changes))


def writer(batch_size=2, **changes):
    settings = generation_settings(config(**changes), STOPS, PAD)
    return Writer(Letters(), settings, batch_size, should_stop=lambda: False)


@pytest.mark.parametrize("changes", [{}, {"num_beams": 3, "length_penalty": 0.3}, {"repetition_penalty": 1.4}])
def test_a_batch_of_prompts_is_answered_as_each_alone(changes):
    """Padding on the wrong side, or a mask forgotten, gives fluent answers to other questions."""
    model, rows = build("windowed", True), prompts()
    told = []
    mine = writer(**changes)
    mine.progress = lambda done, total: told.append((done, total))
    answered = mine.write(model, rows)
    assert told == [(2, 5), (4, 5), (5, 5)]
    plain = build("windowed", False).eval()
    lengths = set()
    for index, row in enumerate(answered):
        prompt, label = rows.row(index)
        settings = {"do_sample": False, "max_new_tokens": 8, "eos_token_id": STOPS, "pad_token_id": PAD, **changes}
        ids = torch.tensor(prompt.tolist())[None]
        alone = plain.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0, len(prompt) :]
        lengths.add(len(alone))
        assert row.compared == (Letters().decode(alone, True), Letters().decode(label, True))
        assert row.predict == row.compared[0]
        assert row.prompt == Letters().decode(prompt, False)
    assert len(lengths) > 1 or changes  # some end at a stop token, before the limit


def test_special_tokens_are_kept_where_asked_for_and_padding_never(tmp_path):
    """skip_special_tokens: false shows whether the model ends its answers."""
    rows, model = prompts(), build("llama", True)
    kept = Writer(Letters(), writer().settings, 5, skip_special=False).write(model, rows)
    plain = writer(5).write(model, rows)
    assert [row.compared for row in kept] == [row.compared for row in plain]
    longer = [len(one.predict) - len(other.predict) for one, other in zip(kept, plain, strict=True)]
    assert set(longer) <= {0, 1} and 1 in longer
    write_predictions(tmp_path / "p.jsonl", kept)
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert lines == [{"prompt": row.prompt, "predict": row.predict, "label": row.label} for row in kept]


def test_generating_keys():
    """As LLaMA-Factory hands them to generate(); what a greedy answer does not use is not passed on."""
    drawn = generation_settings(config(do_sample=True, temperature=0.5, top_p=0.9, top_k=7), [1, 2], 0)
    assert (drawn["do_sample"], drawn["temperature"], drawn["top_p"], drawn["top_k"]) == (True, 0.5, 0.9, 7)
    assert (drawn["eos_token_id"], drawn["pad_token_id"], drawn["max_new_tokens"]) == ([1, 2], 0, 8)
    assert generation_settings(config(do_sample=True, temperature=0), [1], 0)["do_sample"] is False
    longest = generation_settings(config(max_new_tokens=0, max_length=20), [1], 0)
    assert (longest["max_length"], longest.get("max_new_tokens")) == (20, None)
    assert while_training(config()) == {}
    assert while_training(config(eval_num_beams=2, generation_num_beams=3))["num_beams"] == 2
    assert while_training(config(generation_max_length=30)) == {"max_length": 30, "max_new_tokens": None}


def test_max_length_counts_the_prompt():
    """A prompt beyond it is answered with a token, not with an error after an hour."""
    rows = prompts()
    found = writer(1, max_new_tokens=0, max_length=10).write(build("llama", True), rows)
    assert all(len(row.predict) <= max(1, 10 - size) for row, size in zip(found, LENGTHS, strict=True))
    assert max(len(row.predict) for row in found) > 1


def test_a_stop_is_heard_within_an_answer():
    """An answer of 1024 tokens can take minutes."""
    asked = []
    slow = Writer(Letters(), writer().settings | {"eos_token_id": [96], "max_new_tokens": 50}, 5)
    slow.should_stop = lambda: bool(asked.append(1)) or len(asked) >= 3
    with pytest.raises(StopRequested):
        slow.write(build("llama", True), prompts())
    assert len(asked) < 10


def test_answers_are_measured_while_training(tmp_path):
    """predict_with_generate: evaluation tells BLEU and ROUGE instead of a loss, and training goes on from it."""
    pytest.importorskip("jieba")
    trainer = make(
        StepTrainer,
        tmp_path,
        build("llama", True, lora=True),
        samples(count=6),
        eval_sets=PromptRows(prompts()),
        eval_strategy="steps",
        eval_steps=2,
        max_steps=3,
        writer=writer(),
        writing={"max_new_tokens": 3},
    )
    trainer.train()
    found, *_ = [entry for entry in trainer.state.log_history if "eval_runtime" in entry]
    assert {"eval_rouge-1", "eval_rouge-2", "eval_rouge-l", "eval_bleu-4"} <= found.keys()
    assert "eval_loss" not in found
    assert max(len(row.predict) for row in trainer.answered) <= 3
    assert trainer.state.global_step == 3
    result = trainer.predict(PromptRows(prompts()), metric_key_prefix="predict")
    assert {"predict_bleu-4", "predict_runtime"} <= result.metrics.keys()
    assert max(len(row.predict) for row in trainer.answered) > 3


def test_a_stop_while_measuring_leaves_a_checkpoint_only_of_what_was_trained(tmp_path):
    """A run that only answers has nothing to resume."""
    stopping = writer()
    stopping.should_stop = lambda: True
    trainer = make(
        StepTrainer,
        tmp_path,
        build("llama", True, lora=True),
        samples(),
        writer=stopping,
        eval_sets=PromptRows(prompts()),
    )
    with pytest.raises(StopRequested):
        trainer.evaluate()
    assert not list(tmp_path.glob("checkpoint-*"))
    trainer = make(
        StepTrainer,
        tmp_path,
        build("llama", True, lora=True),
        samples(),
        writer=stopping,
        eval_sets=PromptRows(prompts()),
        eval_strategy="steps",
        eval_steps=1,
        max_steps=2,
    )
    with pytest.raises(StopRequested):
        trainer.train()
    assert (tmp_path / "checkpoint-1" / "MANIFEST.json").exists()
