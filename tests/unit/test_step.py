"""The optimiser step against transformers' own Trainer with padded micro-batches: same samples, losses, gradients."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback

from engine.errors import RunError, StopRequested
from engine.memory.job import StepPlan
from engine.train import attention
from engine.train.attention import NAME
from engine.train.batches import Pad
from engine.train.checkpoints import newest_good
from engine.train.packing import IGNORED, Tokens, bins, install_packed_forward, packed_inputs
from engine.train.recompute import recompute_layers
from engine.train.reporting import Reporter
from engine.train.trainer import StepTrainer

OWN = (
    "packed",
    "token_budget",
    "keep_checkpoints",
    "should_stop",
    "token_loss",
    "accuracy",
    "in_order",
    "recovery",
    "before_first",
    "writer",
    "writing",
)
CLOSE = 1e-5  # of a gradient tensor's largest entry, fp32
VOCABULARY = 97
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,  # large enough for attention to matter
}
NO_DROPOUT = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "windowed": MistralConfig(**SIZES, sliding_window=6),
    # learned positions: a sample that did not begin at 0 would be another sample
    "gpt2": GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, initializer_range=0.2, **NO_DROPOUT),
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def samples(count=22, unlabelled=(3,), seed=0):
    """Conversations of 4 to 30 tokens whose labels begin somewhere inside; those of `unlabelled` have none."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        length = draw.randint(4, 30)
        start = length if number in unlabelled else draw.randint(0, length - 2)
        ids = torch.tensor([draw.randint(3, VOCABULARY - 1) for _ in range(length)])
        labels = ids.clone()
        labels[:start] = IGNORED
        rows.append({"input_ids": ids, "labels": labels})
    return rows


def build(kind, ours, *, lora=False, checkpointing=False, dropout=0.0):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        CONFIGS[kind], attn_implementation=NAME if ours else "sdpa", dtype=torch.float32
    )
    model.config.use_cache = False
    if ours:
        install_packed_forward(model)
    if lora:
        model = get_peft_model(
            model, LoraConfig(r=4, lora_dropout=dropout, target_modules="all-linear", task_type="CAUSAL_LM")
        )
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:  # zero at the start, which would hide the gradients of A
                torch.nn.init.normal_(parameter, std=0.1)
    if checkpointing:
        recompute_layers(model, 99)
    return model


class Watch(TrainerCallback):
    """Unclipped gradients of each step, and the weights before it."""

    def __init__(self):
        self.gradients, self.weights = [], []

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        self.weights.append({name: p.detach().clone() for name, p in model.named_parameters()})

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        named = ((name.removeprefix("module."), p.grad) for name, p in model.named_parameters())
        self.gradients.append({name: grad.clone() for name, grad in named if grad is not None})


def recording(parent):
    class Recording(parent):
        """Notes which samples each optimiser step was given, in which order."""

        def training_step(self, model, inputs, num_items_in_batch=None):
            self.given = getattr(self, "given", [])
            rows = zip(inputs["input_ids"], inputs["attention_mask"].bool(), strict=True)
            self.given.append((self.state.global_step, [ids[mask].tolist() for ids, mask in rows]))
            return super().training_step(model, inputs, num_items_in_batch)

    return Recording


def make(cls, folder, model, data, *, callbacks=(), **more):
    own = {name: more.pop(name) for name in OWN if name in more}
    if "token_budget" in own:
        own["plan"] = StepPlan(own.pop("token_budget"))
    more_sets = more.pop("eval_sets", None)
    settings = {
        "per_device_train_batch_size": 2,
        "num_train_epochs": 1.0,
        "learning_rate": 1e-2,
        "optim": "sgd",
        "logging_steps": 1,
        "save_strategy": "no",
        "max_grad_norm": 0,
        "seed": 7,
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": "none",
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "dataloader_pin_memory": False,
        "logging_nan_inf_filter": False,
        "ddp_find_unused_parameters": False,
        "log_level": "error",
    }
    trainer = cls(
        model=model,
        args=TrainingArguments(output_dir=str(folder), **(settings | more)),
        train_dataset=data,
        eval_dataset=more_sets or data,
        data_collator=Pad(0),
        callbacks=list(callbacks),
        **own,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def train(cls, folder, model, data, **settings):
    watch = Watch()
    trainer = make(recording(cls), folder, model, data, callbacks=[watch], **settings)
    trainer.train()
    return trainer, watch.gradients


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def largest_difference(mine, theirs):
    """Over all steps and tensors: the largest difference relative to the tensor's largest entry."""
    assert len(mine) == len(theirs)
    worst = 0.0
    for one, other in zip(mine, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            gap = (one[name] - other[name]).abs().max().item()
            assert math.isfinite(gap), name
            worst = max(worst, gap / max(other[name].abs().max().item(), 1e-9))
    return worst


def assert_same_training(tmp_path, kind, data, *, budget=70, lora=False, checkpointing=False, **settings):
    theirs, expected = train(Trainer, tmp_path / "theirs", build(kind, False, lora=lora), data, **settings)
    model = build(kind, True, lora=lora, checkpointing=checkpointing)
    mine, gradients = train(StepTrainer, tmp_path / "mine", model, data, token_budget=budget, **settings)
    assert largest_difference(gradients, expected) <= CLOSE
    assert losses(mine) == pytest.approx(losses(theirs), rel=CLOSE, abs=1e-7)
    return mine, theirs


# --- losses and gradients


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("accumulate", [1, 4])
def test_each_step_has_trainers_loss_and_gradients(tmp_path, kind, accumulate):
    """Otherwise a model tuned here differs from one tuned by the reference. 22 samples: the last step is partial."""
    mine, _ = assert_same_training(tmp_path, kind, samples(), gradient_accumulation_steps=accumulate)
    assert mine.state.global_step == {1: 11, 4: 3}[accumulate]


def test_the_window_matters_in_these_tests(tmp_path):
    """A window that changed nothing would prove nothing."""
    narrow = train(Trainer, tmp_path / "a", build("windowed", False), samples(), max_steps=1)[1]
    model = build("windowed", False)
    model.config.sliding_window = None
    assert largest_difference(train(Trainer, tmp_path / "b", model, samples(), max_steps=1)[1], narrow) > 0.01


def test_no_mask_is_built_for_packed_rows(tmp_path, monkeypatch):
    """Tokens × tokens: at 32,000 tokens in a row a gigabyte a layer, for nothing. Also when layers are recomputed."""

    def mask(*args, **kwargs):
        raise AssertionError("a mask was built")

    monkeypatch.setattr(attention, "sdpa_mask", mask)
    model = build("windowed", True, lora=True, checkpointing=True)
    trainer, _ = train(StepTrainer, tmp_path, model, samples(), max_steps=1, gradient_accumulation_steps=4)
    trainer.args.prediction_loss_only = True
    trainer.evaluate()


@pytest.mark.parametrize("budget", [1, 10_000])
def test_the_token_budget_changes_nothing(tmp_path, budget):
    """One sample a row, or a whole step in one row: what fits in memory must not change what is learned."""
    mine, _ = assert_same_training(tmp_path, "llama", samples(), budget=budget, gradient_accumulation_steps=4)
    assert mine.step_rows == (6 if budget == 1 else 1)


@pytest.mark.parametrize("packed", [True, False])
def test_a_step_without_any_label_changes_nothing(tmp_path, packed):
    """Data whose answers were cut off: plain Trainer divides 0 by 0 and every weight is lost. The next step goes on."""
    data = samples(count=16, unlabelled=range(8))
    settings = {"gradient_accumulation_steps": 4, "train_sampling_strategy": "sequential"}
    own = {"packed": packed, "token_budget": 50}
    mine, gradients = train(StepTrainer, tmp_path, build("llama", packed), data, **own, **settings)
    theirs, expected = train(Trainer, tmp_path, build("llama", False), data[8:], **settings)
    assert len(gradients) == 2
    assert gradients[0].keys() == expected[0].keys()
    assert all(not grad.any() for grad in gradients[0].values())
    assert largest_difference(gradients[1:], expected) <= CLOSE
    assert losses(mine) == [0.0, pytest.approx(losses(theirs)[0], rel=CLOSE)]


@pytest.mark.parametrize("kind", ["llama", "windowed"])
def test_lora_gradients_are_trainers(tmp_path, kind):
    """The frozen head forms its gradient by hand: it must be the one that autograd finds."""
    assert_same_training(tmp_path, kind, samples(), lora=True, gradient_accumulation_steps=4)


@pytest.mark.parametrize("lora", [False, True])
def test_recomputing_activations_changes_nothing(tmp_path, lora):
    """The layer is run again in backward, when the packed row's boundaries must still hold."""
    assert_same_training(tmp_path, "windowed", samples(), lora=lora, checkpointing=True, gradient_accumulation_steps=4)


def test_bfloat16_step_is_near_trainers(tmp_path):
    """Under autocast, with biases in fp32: the same step up to the rounding of bfloat16."""
    settings = {"gradient_accumulation_steps": 4, "bf16": True, "max_steps": 1}
    theirs, expected = train(Trainer, tmp_path / "a", build("llama", False, lora=True), samples(), **settings)
    mine, gradients = train(StepTrainer, tmp_path / "b", build("llama", True, lora=True), samples(), **settings)
    assert losses(mine) == pytest.approx(losses(theirs), rel=2e-3)
    assert largest_difference(gradients, expected) < 0.05


# --- the loop


@pytest.mark.parametrize(
    "settings",
    [
        {"num_train_epochs": 1.5, "gradient_accumulation_steps": 4},
        {"max_steps": 7, "gradient_accumulation_steps": 3},
        {"num_train_epochs": 2.0, "gradient_accumulation_steps": 4, "dataloader_drop_last": True},
        {"num_train_epochs": 1.0, "gradient_accumulation_steps": 2, "train_sampling_strategy": "group_by_length"},
    ],
    ids=["fractional epochs", "max_steps", "drop_last", "group_by_length"],
)
def test_steps_samples_order_and_epochs_are_trainers(tmp_path, settings):
    """`epoch 0.36`, the number of steps and the schedule mean what they mean everywhere else."""
    mine, theirs = assert_same_training(tmp_path, "llama", samples(), include_num_input_tokens_seen="all", **settings)
    assert mine.given == theirs.given
    assert mine.state.global_step == theirs.state.global_step
    for key in ("epoch", "learning_rate", "step", "num_input_tokens_seen"):
        assert [entry.get(key) for entry in mine.state.log_history] == [
            entry.get(key) for entry in theirs.state.log_history
        ]


def test_tokens_are_counted_without_padding(tmp_path):
    """Tokens per second would otherwise count padding as work done."""
    data = samples(count=8)
    mine, _ = train(StepTrainer, tmp_path, build("llama", True), data, gradient_accumulation_steps=4)
    assert mine.step_tokens == sum(len(row["input_ids"]) for row in data)


def test_bins_keep_every_sample_and_the_budget():
    """A lost sample would be data that is never learned; a fuller row, memory that was not planned for."""
    rows = [Tokens(row["input_ids"], row["labels"]) for row in samples(count=40)]
    packed = bins(rows, 31)
    assert sorted(id(sample) for row in packed for sample in row) == sorted(id(sample) for sample in rows)
    assert all(sum(len(sample.ids) for sample in row) <= 31 for row in packed)
    assert len(packed) < len(rows)
    assert [len(row) for row in bins(rows, 1)] == [1] * 40  # too long for the budget still runs


def test_targets_never_cross_from_one_sample_to_the_next():
    """The last token of a sample must not be asked to predict the first of its neighbour."""
    inputs = packed_inputs(
        [Tokens(torch.tensor([5, 6, 7]), torch.tensor([5, 6, 7])), Tokens(*[torch.tensor([8, 9])] * 2)]
    )
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert inputs["keep"].tolist() == [0, 1, 3]
    assert inputs["targets"].tolist() == [6, 7, 9]
    assert inputs["row"].cumulative.tolist() == [0, 3, 5]


def test_left_padded_generation_is_plain_sdpas():
    """Sample answers and chat use the same model object: its attention without rows must be transformers' own."""
    batch = {
        "input_ids": torch.tensor([[0, 0, 5, 6], [7, 8, 9, 10]]),
        "attention_mask": torch.tensor([[0, 0, 1, 1], [1] * 4]),
    }
    mine, theirs = (build("windowed", ours).eval()(**batch).logits for ours in (True, False))
    assert torch.equal(mine[batch["attention_mask"].bool()], theirs[batch["attention_mask"].bool()])


# --- evaluation


@pytest.mark.parametrize("kind", ["llama", "windowed"])
def test_evaluation_loss_is_llamafactorys(tmp_path, kind):
    """An eval_loss that cannot be compared with other people's runs is worth nothing."""
    theirs = make(Trainer, tmp_path, build(kind, False), samples(), per_device_eval_batch_size=3)
    theirs.gather_function = theirs.accelerator.gather  # what Seq2SeqTrainer.evaluate does, which LLaMA-Factory uses
    expected = theirs.evaluate()
    mine = make(
        StepTrainer,
        tmp_path,
        build(kind, True),
        samples(),
        per_device_eval_batch_size=3,
        token_budget=40,
        prediction_loss_only=True,
    ).evaluate()
    assert mine["eval_loss"] == pytest.approx(expected["eval_loss"], rel=1e-6)


def test_an_evaluation_batch_without_labels_counts_as_zero(tmp_path):
    """One such batch would turn eval_loss, and the choice of the best checkpoint, into NaN."""
    data = samples(count=6, unlabelled=(0, 1, 2))
    settings = {"per_device_eval_batch_size": 3, "prediction_loss_only": True}
    theirs = make(Trainer, tmp_path, build("llama", False), data[3:], **settings).evaluate()["eval_loss"]
    for packed in (True, False):
        mine = make(StepTrainer, tmp_path, build("llama", packed), data, packed=packed, **settings).evaluate()
        assert mine["eval_loss"] == pytest.approx(theirs / 2, rel=1e-6)


def test_a_stop_during_evaluation_leaves_a_checkpoint(tmp_path):
    """Evaluation can take longer than a batch system's grace period."""
    model = build("llama", True, lora=True)
    evaluating = {"value": False}
    trainer = make(
        StepTrainer,
        tmp_path,
        model,
        samples(),
        max_steps=4,
        eval_strategy="steps",
        eval_steps=2,
        prediction_loss_only=True,
        should_stop=lambda: evaluating["value"],
    )
    evaluating["value"] = True
    with pytest.raises(StopRequested):
        trainer.train()
    assert newest_good(tmp_path) == (tmp_path / "checkpoint-2", [])


class TwoFaced(torch.optim.SGD):
    """As schedule-free optimisers: weights are moved in one mode and measured in the other."""

    mode = "train"

    def train(self):
        self.mode = "train"

    def eval(self):
        self.mode = "eval"

    def step(self, *args, **kwargs):
        assert self.mode == "train"
        return super().step(*args, **kwargs)


def test_schedule_free_optimisers_change_their_mode(tmp_path):
    """They refuse to step, or measure other weights than they save, where nobody tells them."""
    model, seen = build("llama", True), []
    trainer = make(StepTrainer, tmp_path, model, samples(count=8), max_steps=3, eval_strategy="steps", eval_steps=1)
    trainer.optimizer = TwoFaced(model.parameters(), lr=1e-2)
    model.register_forward_hook(lambda *_: seen.append((model.training, trainer.optimizer.optimizer.mode)))
    trainer.train()
    assert set(seen) == {(True, "train"), (False, "eval")}


# --- resuming


class StopAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            control.should_save = control.should_training_stop = True


@pytest.mark.parametrize("stop_at", [2, 4])
def test_an_interrupted_run_ends_with_the_same_weights(tmp_path, stop_at):
    """Stopped inside an epoch (2) and at its end (4), with dropout: bit for bit what one run would have given."""
    settings = {
        "gradient_accumulation_steps": 3,
        "num_train_epochs": 2,
        "optim": "adamw_torch",
        "max_grad_norm": 1.0,
        "lr_scheduler_type": "cosine",
        "token_budget": 60,
    }
    whole = make(StepTrainer, tmp_path / "whole", build("llama", True, lora=True, dropout=0.1), samples(), **settings)
    whole.train()
    first = make(
        StepTrainer,
        tmp_path / "parts",
        build("llama", True, lora=True, dropout=0.1),
        samples(),
        callbacks=[StopAt(stop_at)],
        **settings,
    )
    first.train()
    assert first.state.global_step == stop_at < whole.state.global_step
    torch.manual_seed(99)
    torch.rand(5)
    second = make(StepTrainer, tmp_path / "parts", build("llama", True, lora=True, dropout=0.1), samples(), **settings)
    found, warnings = newest_good(tmp_path / "parts")
    assert found is not None and not warnings
    second.train(resume_from_checkpoint=str(found))
    expected = dict(whole.model.named_parameters())
    assert all(torch.equal(parameter, expected[name]) for name, parameter in second.model.named_parameters())
    assert losses(second) == losses(whole)


@pytest.mark.parametrize("optim", ["sgd", "adamw_torch"])
def test_a_learning_rate_that_was_lowered_holds_after_a_resume(tmp_path, optim):
    """The advice after a loss of NaN: go on with a third. Trainer would bring the old rate back with the checkpoint."""
    settings = {"gradient_accumulation_steps": 2, "optim": optim, "lr_scheduler_type": "linear"}
    whole = make(StepTrainer, tmp_path / "whole", build("llama", True, lora=True), samples(), **settings)
    whole.train()
    first = make(
        StepTrainer,
        tmp_path / "parts",
        build("llama", True, lora=True),
        samples(),
        save_strategy="steps",
        save_steps=2,
        max_steps=whole.state.max_steps,
        **settings,
    )
    first.train()
    lowered = settings | {"learning_rate": 1e-2 / 4, "max_steps": whole.state.max_steps}
    second = make(StepTrainer, tmp_path / "parts", build("llama", True, lora=True), samples(), **lowered)
    second.train(resume_from_checkpoint=str(tmp_path / "parts" / "checkpoint-2"))
    usual = [entry["learning_rate"] for entry in whole.state.log_history if "learning_rate" in entry]
    found = [entry["learning_rate"] for entry in second.state.log_history if "learning_rate" in entry]
    assert len(usual) > 4 and found[:2] == usual[:2]
    assert found[2:] == pytest.approx([rate / 4 for rate in usual[2:]])


@pytest.mark.parametrize("length", [{"num_train_epochs": 1.5}, {"num_train_epochs": 1.0}, {"max_steps": 2}])
def test_resuming_after_the_last_step_trains_no_further(tmp_path, length):
    """A run that was killed while saving its result has nothing left to learn."""
    settings = {"gradient_accumulation_steps": 4, "save_strategy": "steps", "save_steps": 1, "optim": "adamw_torch"}
    settings |= {"lr_scheduler_type": "constant"} | length
    whole = make(StepTrainer, tmp_path, build("llama", True, lora=True), samples(), **settings)
    whole.train()
    again = make(StepTrainer, tmp_path, build("llama", True, lora=True), samples(), **settings)
    again.train(resume_from_checkpoint=str(newest_good(tmp_path)[0]))
    assert again.state.global_step == whole.state.global_step == whole.state.max_steps
    expected = dict(whole.model.named_parameters())
    assert all(torch.equal(parameter, expected[name]) for name, parameter in again.model.named_parameters())


def test_only_the_newest_checkpoints_stay(tmp_path):
    """save_total_limit keeps a disk from filling."""
    trainer = make(
        StepTrainer,
        tmp_path,
        build("llama", True, lora=True),
        samples(count=6),
        save_strategy="steps",
        save_steps=1,
        keep_checkpoints=2,
    )
    trainer.train()
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-3"]


# --- what is not a number


def fake_work(stop=False):
    told = []
    events = SimpleNamespace(write=lambda kind, **fields: told.append((kind, fields)))
    return SimpleNamespace(events=events, told=told, phase=lambda *a, **k: None, should_stop=lambda: stop)


def assert_not_applied(trainer, watch, code, step):
    with pytest.raises(RunError) as caught:
        trainer.train()
    assert caught.value.problems[0].code == code
    assert caught.value.problems[0].params.get("step") == step
    assert len(watch.weights) == (step or 1)
    for name, parameter in trainer.model.named_parameters():
        assert torch.equal(parameter.view(torch.int32), watch.weights[-1][name].view(torch.int32)), name


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_before_the_weights_change(tmp_path, packed, bad):
    """One bad step would fill every weight with NaN, and the checkpoint after it too."""
    data = samples(count=12, unlabelled=())
    for row in data:
        row["input_ids"][row["input_ids"] == 50] = 51
    data[9]["input_ids"][0] = 50  # in the second step of eight samples
    model, watch = build("llama", packed), Watch()
    with torch.no_grad():
        model.get_input_embeddings().weight[50] = bad
    trainer = make(
        StepTrainer,
        tmp_path,
        model,
        data,
        callbacks=[watch],
        packed=packed,
        gradient_accumulation_steps=4,
        train_sampling_strategy="sequential",
    )
    assert_not_applied(trainer, watch, "nan_loss", step=2)


@pytest.mark.parametrize("clip", [0, 1.0])
def test_gradients_that_are_not_finite_end_the_run_before_the_weights_change(tmp_path, clip):
    """The loss may look well while a gradient overflows; clipping then spreads it to every weight."""
    model, watch, calls = build("llama", True), Watch(), []

    def spoil(grad):
        calls.append(1)
        return grad * float("inf") if len(calls) == 2 else grad

    model.model.layers[0].mlp.up_proj.weight.register_hook(spoil)
    trainer = make(
        StepTrainer, tmp_path, model, samples(), callbacks=[watch], gradient_accumulation_steps=4, max_grad_norm=clip
    )
    trainer.add_callback(Reporter(fake_work(), tmp_path, trainer))
    assert_not_applied(trainer, watch, "nan_gradient", step=2)


@pytest.mark.parametrize("dead", [1, 2])
def test_a_first_step_without_any_gradient_ends_the_run(tmp_path, dead):
    """Hours of training would change nothing; a single empty step later on is no reason to stop."""
    model, watch, calls = build("llama", True, lora=True), Watch(), []
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def stifle(grad):
        return torch.zeros_like(grad) if len(calls) == dead else grad

    for parameter in trainable:
        parameter.register_hook(stifle)
    trainer = make(StepTrainer, tmp_path, model, samples(), callbacks=[watch], gradient_accumulation_steps=4)
    trainer.add_callback(Reporter(fake_work(), tmp_path, trainer))
    step = trainer.forward_backward
    trainer.forward_backward = lambda *arguments: calls.append(1) or step(*arguments)
    if dead == 1:
        assert_not_applied(trainer, watch, "no_gradient", step=None)
    else:
        trainer.train()
        assert trainer.state.global_step == trainer.state.max_steps > 1


def test_a_stop_finishes_the_step_and_writes_a_checkpoint(tmp_path):
    """SIGTERM from Slurm: the work so far is kept."""
    work = fake_work(stop=True)
    trainer = make(StepTrainer, tmp_path, build("llama", True, lora=True), samples(), gradient_accumulation_steps=4)
    reporter = Reporter(work, tmp_path, trainer)
    trainer.add_callback(reporter)
    trainer.train()
    assert reporter.stopped and trainer.state.global_step == 1
    assert newest_good(tmp_path) == (tmp_path / "checkpoint-1", [])
    (step,) = [fields for kind, fields in work.told if kind == "step"]
    assert step["loss"] == pytest.approx(losses(trainer)[0], abs=1e-6)
    assert step["tokens"] == trainer.step_tokens > 0


# --- several processes


def distributed(folder: Path) -> None:
    """One rank of the test below: 32 samples in order, two steps; the second rank has no label in the first."""
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    _, gradients = train(
        StepTrainer, folder, build("llama", True), process_samples(), token_budget=(35, 200)[rank], **PROCESSES
    )
    torch.save(gradients, folder / f"gradients-{rank}.pt")


PROCESSES = {"gradient_accumulation_steps": 4, "train_sampling_strategy": "sequential"}


def process_samples():
    # Batches of two go to the ranks in turn: these are all of the second rank's in the first step.
    return samples(count=32, unlabelled=(2, 3, 6, 7, 10, 11, 14, 15))


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path):
    """Gradients of DDP over gloo, with other numbers of rows on each rank, are those of one process."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", __file__, str(tmp_path)],
        check=True,
        timeout=240,
        env=environment,
    )
    settings = PROCESSES | {"per_device_train_batch_size": 4}
    _, expected = train(Trainer, tmp_path / "one", build("llama", False), process_samples(), **settings)
    for rank in (0, 1):
        gradients = torch.load(tmp_path / f"gradients-{rank}.pt", weights_only=True)
        assert largest_difference(gradients, expected) <= CLOSE


if __name__ == "__main__":
    distributed(Path(sys.argv[1]))
