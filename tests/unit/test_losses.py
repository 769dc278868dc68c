"""DFT, EAFT, label smoothing and accuracy: as LLaMA-Factory recorded and Trainer computes them, packed as padded."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import Trainer

from engine.train.accuracy import Accuracy, shares_of_padded
from engine.train.losses import chosen_loss, dft, eaft, on_padded, smoothed
from engine.train.packing import IGNORED
from engine.train.trainer import StepTrainer
from tests.golden import record_measures
from tests.unit.test_step import CLOSE, build, largest_difference, losses, make, samples, train

RECORDED = json.loads((Path(__file__).parents[1] / "golden" / "measures.json").read_text(encoding="utf-8"))
LOSSES = {"dft": dft, "eaft 1.0": eaft(1.0), "eaft 0.5": eaft(0.5)}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_are_llamafactorys(name):
    """Who moves a DFT run over here must not find another objective."""
    given, labels = record_measures.logits().requires_grad_(), record_measures.labels()
    loss = on_padded(LOSSES[name])({"logits": given}, labels, (labels != IGNORED).sum())
    loss.backward()
    expected = RECORDED["losses"][name]
    assert loss.item() == pytest.approx(expected["loss"], rel=1e-6)
    assert torch.allclose(given.grad[:, 3], torch.tensor(expected["gradient"], dtype=torch.float64), atol=1e-7)


@pytest.mark.parametrize(("name", "lora"), [("dft", False), ("eaft 0.5", True)])
def test_packed_rows_learn_what_padded_batches_learn(tmp_path, name, lora):
    """The packed step forms these losses in chunks of its own: the result may not depend on it."""
    settings = {"gradient_accumulation_steps": 4, "token_loss": LOSSES[name]}
    theirs, expected = train(
        StepTrainer, tmp_path / "a", build("llama", False, lora=lora), samples(), packed=False, **settings
    )
    model = build("llama", True, lora=lora)
    mine, gradients = train(StepTrainer, tmp_path / "b", model, samples(), token_budget=70, **settings)
    assert largest_difference(gradients, expected) <= CLOSE
    assert losses(mine) == pytest.approx(losses(theirs), rel=CLOSE, abs=1e-7)
    plain, _ = train(
        Trainer, tmp_path / "c", build("llama", False, lora=lora), samples(), gradient_accumulation_steps=4
    )
    assert losses(plain)[0] != pytest.approx(losses(mine)[0], rel=0.01)
    assert mine.evaluate()["eval_loss"] == pytest.approx(theirs.evaluate()["eval_loss"], rel=CLOSE)


def test_label_smoothing_is_trainers(tmp_path):
    """Without it the packed step would silently train on something else (gradients 3 % off)."""
    settings = {"gradient_accumulation_steps": 4, "label_smoothing_factor": 0.2}
    theirs, expected = train(Trainer, tmp_path / "a", build("llama", False), samples(), **settings)
    mine, gradients = train(
        StepTrainer, tmp_path / "b", build("llama", True), samples(), token_loss=smoothed(0.2), **settings
    )
    theirs.gather_function = theirs.accelerator.gather
    assert largest_difference(gradients, expected) <= CLOSE
    assert losses(mine) == pytest.approx(losses(theirs), rel=CLOSE)
    assert mine.evaluate()["eval_loss"] == pytest.approx(theirs.evaluate()["eval_loss"], rel=CLOSE)


def test_the_loss_that_a_config_asks_for():
    """DFT goes before EAFT, both before label smoothing, as in LLaMA-Factory; nothing asked for is cross-entropy."""
    config = SimpleNamespace(use_dft_loss=True, use_eaft_loss=True, eaft_alpha=1.0)
    assert chosen_loss(config, 0.1) is dft
    config.use_dft_loss = config.use_eaft_loss = False
    assert chosen_loss(config) is None
    logits, targets = record_measures.logits()[0].float(), torch.arange(9)
    assert torch.allclose(chosen_loss(config, 0.1)(logits, targets), smoothed(0.1)(logits, targets))
    config.use_eaft_loss = True
    assert torch.allclose(chosen_loss(config)(logits, targets), eaft(1.0)(logits, targets))


# --- accuracy


def test_accuracy_is_llamafactorys():
    """eval_accuracy is compared between runs and with papers."""
    shares = shares_of_padded(record_measures.logits(), record_measures.labels())
    assert Accuracy()(SimpleNamespace(predictions=shares.numpy()))["accuracy"] == pytest.approx(RECORDED["accuracy"])


def reference(prediction):
    """LLaMA-Factory's formula, but for samples without a label, which make it NaN there."""
    found = []
    for row, answers in zip(prediction.predictions[:, :-1], prediction.label_ids[:, 1:], strict=True):
        known = answers != IGNORED
        if known.any():
            found.append(np.mean(row[known] == answers[known]))
    return {"accuracy": float(np.mean(found))}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("extra", [{}, {"batch_eval_metrics": True}, {"eval_accumulation_steps": 1}])
def test_accuracy_and_loss_from_packed_and_padded_rows(tmp_path, packed, extra):
    """Measured without holding all logits, it must be the number that Trainer finds with them."""
    data = samples(count=11)
    model = build("llama", False)
    for number, row in enumerate(data):  # an untrained model is never right by itself
        with torch.no_grad():
            best = model(row["input_ids"][None]).logits[0].argmax(-1)
        known = (row["labels"][1:] != IGNORED) & (torch.arange(len(best) - 1) % 3 <= number % 3)
        row["labels"][1:][known] = best[:-1][known]
    settings = {"per_device_eval_batch_size": 3}
    theirs = make(Trainer, tmp_path / "a", model, data, **settings)
    theirs.compute_metrics = reference
    theirs.gather_function = theirs.accelerator.gather
    theirs.preprocess_logits_for_metrics = lambda logits, labels: logits.argmax(-1)
    expected = theirs.evaluate()
    assert 0.2 < expected["eval_accuracy"] < 0.9
    ours = build("llama", True) if packed else build("llama", False)
    ours.load_state_dict(model.state_dict())
    mine = make(
        StepTrainer, tmp_path / "b", ours, data, packed=packed, accuracy=True, token_budget=40, **settings, **extra
    ).evaluate()
    assert mine["eval_accuracy"] == pytest.approx(expected["eval_accuracy"])
    assert mine["eval_loss"] == pytest.approx(expected["eval_loss"], rel=1e-6)


def test_a_set_without_labels_has_no_accuracy(tmp_path):
    """Rather than NaN, which no JSON reader but Python's takes."""
    data = samples(count=4, unlabelled=range(4))
    found = make(StepTrainer, tmp_path, build("llama", True), data, accuracy=True).evaluate()
    assert "eval_accuracy" not in found
    assert math.isfinite(found["eval_loss"])


# --- sets, the best model, order


def test_each_set_is_measured_by_itself_and_the_best_checkpoint_is_loaded_and_kept(tmp_path):
    """eval_on_each_dataset with load_best_model_at_end: what is saved is the best, which pruning must not take."""
    sets = {"one": samples(count=5, seed=1), "two": samples(count=4, seed=2)}
    trainer = make(
        StepTrainer,
        tmp_path,
        build("llama", True, lora=True),
        samples(),
        eval_sets=sets,
        keep_checkpoints=1,
        accuracy=True,
        learning_rate=2.0,  # diverges: the first measurement stays the best
        max_steps=6,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="two_loss",
    )
    trainer.train()
    found = [entry["eval_two_loss"] for entry in trainer.state.log_history if "eval_two_loss" in entry]
    assert len(found) == 3
    best = 2 * (1 + found.index(min(found)))
    assert best < 6
    assert trainer.state.best_model_checkpoint == str(tmp_path / f"checkpoint-{best}")
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == [f"checkpoint-{best}", "checkpoint-6"]
    measured = trainer.evaluate()
    assert measured["eval_two_loss"] == pytest.approx(min(found), rel=1e-5)
    assert {"eval_one_loss", "eval_one_accuracy", "eval_two_accuracy"} <= measured.keys()


def test_samples_come_in_order_when_shuffling_is_disabled(tmp_path):
    """disable_shuffling: curricula are written into the data."""
    data = samples(count=8)
    trainer, _ = train(StepTrainer, tmp_path, build("llama", True), data, in_order=True)
    given = [ids for _, batch in trainer.given for ids in batch]
    assert given == [row["input_ids"].tolist() for row in data]
