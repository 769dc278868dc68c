"""On a CUDA device: the variable-length kernel keeps samples apart, and a step in bfloat16 is Trainer's."""

from __future__ import annotations

import random

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, MistralConfig, Trainer, TrainingArguments

from engine.memory.job import StepPlan
from engine.train import attention
from engine.train.attention import NAME, Row, attend
from engine.train.batches import Pad
from engine.train.packing import IGNORED, Tokens, install_packed_forward
from engine.train.selfcheck import check
from engine.train.trainer import StepTrainer

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
LENGTHS = [23, 1, 130, 64, 17]


@pytest.fixture
def ampere():
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("the variable-length kernel needs compute capability 8.0")


def by_hand(query, key, value, scaling, window):
    """Softmax over an explicit mask in float64: (1, heads, tokens, d) → (1, tokens, heads, d)."""
    sample = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS)).to(query.device)
    at = torch.arange(len(sample), device=query.device)
    gap = at[:, None] - at[None]
    seen = (sample[:, None] == sample[None]) & (gap >= 0) & (gap < (window or len(at)))
    groups = query.shape[1] // key.shape[1]
    query, key, value = query.double(), *(t.double().repeat_interleave(groups, 1) for t in (key, value))
    scores = (query @ key.transpose(2, 3) * scaling).masked_fill(~seen, float("-inf"))
    return (scores.softmax(-1) @ value).transpose(1, 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("window", [None, 16], ids=["whole", "window"])
@pytest.mark.parametrize("key_heads", [8, 2], ids=["all heads", "grouped"])
def test_the_variable_length_kernel_is_attention_sample_by_sample(ampere, key_heads, window, dtype):
    """Forward and gradients; a window or a boundary that is off by one is far outside the tolerance."""
    torch.manual_seed(0)
    shapes = [(1, heads, sum(LENGTHS), 64) for heads in (8, key_heads, key_heads)]
    inputs = [torch.randn(shape, device=DEVICE).to(dtype).requires_grad_() for shape in shapes]
    assert attention._varlen is not None and attention._flash(inputs[0])
    row = Row.of(LENGTHS, inputs[0].device)
    mine, _ = attend(torch.nn.Module(), *inputs, scaling=0.3, row=row, sliding_window=window)
    expected = by_hand(*inputs, 0.3, window)
    assert mine.shape == expected.shape
    upstream = torch.randn_like(expected)
    pairs = [(mine, expected)]
    pairs += zip(
        torch.autograd.grad(mine, inputs, upstream.to(dtype)),
        torch.autograd.grad(expected, inputs, upstream),
        strict=True,
    )
    for one, other in pairs:
        assert (one.double() - other.double()).norm() < 0.02 * other.double().norm()


def build(ours):
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=97,
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        sliding_window=16,
        initializer_range=0.1,
    )
    model = AutoModelForCausalLM.from_config(
        config, attn_implementation=NAME if ours else "sdpa", dtype=torch.bfloat16
    ).to(DEVICE)
    model.config.use_cache = False
    if ours:
        install_packed_forward(model)
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(model, lora)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def samples():
    draw = random.Random(0)
    rows = []
    for length in (*LENGTHS, 40, 33, 8):
        ids = torch.tensor([draw.randint(3, 96) for _ in range(length)])
        labels = ids.clone()
        labels[: length // 3] = IGNORED
        rows.append({"input_ids": ids, "labels": labels})
    return rows


def one_step(cls, folder, ours, **own):
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
        max_steps=1,
        bf16=True,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
    )
    trainer = cls(model=build(ours), args=arguments, train_dataset=samples(), data_collator=Pad(0), **own)
    trainer.train()
    return next(entry for entry in trainer.state.log_history if "loss" in entry)


def test_a_lora_step_in_bfloat16_is_trainers(ampere, tmp_path):
    """bf16 base, fp32 adapters, autocast: the common case on a GPU, packed and padded."""
    if torch.cuda.device_count() > 1:
        pytest.skip("Trainer would split the batch over the devices: set CUDA_VISIBLE_DEVICES to one")
    padded = one_step(Trainer, tmp_path / "theirs", False)
    packed = one_step(StepTrainer, tmp_path / "mine", True, plan=StepPlan(150))
    assert packed["loss"] == pytest.approx(padded["loss"], rel=5e-3)
    assert packed["grad_norm"] == pytest.approx(padded["grad_norm"], rel=5e-2)


def test_the_self_check_passes_and_leaves_the_devices_random_state(ampere):
    """Kernel against SDPA on the same weights: small, and the run's dropout is the same with the check or without."""
    model = build(True)
    state = torch.cuda.get_rng_state()
    rows = [Tokens(row["input_ids"], row["labels"]) for row in samples()]
    found = check(model, rows, torch.device(DEVICE), torch.bfloat16)
    assert found.packed, found
    assert torch.equal(torch.cuda.get_rng_state(), state)
