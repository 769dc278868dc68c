"""On a CUDA device: the probe's peak is the run's, a plan that fits does not run out, a step that does is done again.

Memory is capped by torch.cuda.set_per_process_memory_fraction, so any card will do.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback, TrainingArguments

from engine.config.schema import TrainConfig
from engine.data.encoded import Encoded, EncodeReport
from engine.memory.allocator import CONTEXT
from engine.memory.job import StepPlan
from engine.train.batches import Pad, TokenRows
from engine.train.footing import device_now, find_footing
from engine.train.methods import prepare_model
from engine.train.packing import IGNORED
from engine.train.precision import Precision
from engine.train.probe import CudaMeter, Probe
from engine.train.recompute import recompute_layers
from engine.train.shortage import Recovery
from engine.train.trainer import StepTrainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
DEVICE = torch.device("cuda", 0)
VOCABULARY, LAYERS = 8000, 6
LENGTHS = [1000, 400, 900, 700, 300, 1000, 800, 600] * 4
BATCH, ACCUMULATE = 2, 4
MIB = 1 << 20


@pytest.fixture(autouse=True)
def ampere():
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("the variable-length kernel needs compute capability 8.0")
    torch.cuda.empty_cache()
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama whose activations outweigh it: 6 layers of width 512."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=LAYERS,
        num_attention_heads=8,
        num_key_value_heads=4,
    )
    path = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
    return path


def train_config(folder: Path, **changes) -> TrainConfig:
    return TrainConfig(
        model_name_or_path=str(folder),
        dataset="d",
        output_dir="o",
        lora_rank=8,
        bf16=True,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATE,
        **changes,
    )


def rows() -> TokenRows:
    draw = random.Random(0)
    ids = np.array([draw.randint(3, VOCABULARY - 1) for _ in range(sum(LENGTHS))], np.int32)
    labels = ids.copy()
    labels[::2] = IGNORED
    offsets = np.cumsum([0, *LENGTHS])
    return TokenRows(Encoded(ids, labels, offsets, EncodeReport(1024)))


def prepare(folder: Path):
    said = []
    return prepare_model(train_config(folder), folder, None, Precision(torch.bfloat16, "auto"), DEVICE, said.append)


class Peaks(TrainerCallback):
    """The peak of each optimiser step by itself."""

    def __init__(self):
        self.peaks = []

    def on_step_end(self, *args, **kwargs):
        self.peaks.append(torch.cuda.max_memory_allocated())
        torch.cuda.reset_peak_memory_stats()


def run(out: Path, model, plan: StepPlan, *, recovery=None, probe=None, steps: int = 3):
    """(losses, peaks of the steps, the trainer)."""
    recompute_layers(model, plan.recompute)
    peaks = Peaks()
    arguments = TrainingArguments(
        output_dir=str(out),
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATE,
        max_steps=steps,
        learning_rate=1e-3,
        bf16=True,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        seed=1,
    )
    trainer = StepTrainer(
        model=model,
        args=arguments,
        train_dataset=rows(),
        data_collator=Pad(0),
        callbacks=[peaks],
        plan=plan,
        recovery=recovery,
        before_first=probe,
    )
    trainer.train()
    found = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return found, peaks.peaks, trainer


def footing_for(folder: Path, model, free: int):
    """The plan for so many free bytes, and what was said of it."""
    told = []
    prepared = SimpleNamespace(train=rows().encoded, evaluations={})
    device = replace(device_now(model), free=free)
    found = find_footing(
        train_config(folder), {}, folder, model, prepared, True, told.append, device=device, factor=lambda *_: 1.0
    )
    return found, told


def cap(total: int) -> None:
    """No more than so many bytes for tensors from now on, those that are there included."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(total / torch.cuda.get_device_properties(DEVICE).total_memory)


def test_the_probes_peak_is_that_of_the_steps_after_it(folder, tmp_path):
    """Less, and the run could still run out after hours; much more, and every plan would be too careful."""
    model, events = prepare(folder), []
    footing, _ = footing_for(folder, model, 60 << 30)
    assert footing.recipe.attention == "varlen" and footing.plan == StepPlan(BATCH * ACCUMULATE * max(LENGTHS))
    probe = Probe(
        CudaMeter(),
        Recovery(pytest.fail, LAYERS, True),
        footing.state,
        footing.predict_row,
        lambda kind, **fields: events.append(fields),
        lambda predicted, measured: None,
    )
    states = []

    def watched(trainer, model):
        states.append(torch.cuda.get_rng_state(DEVICE))
        probe(trainer, model)
        states.append(torch.cuda.get_rng_state(DEVICE))
        assert all(p.grad is None for p in model.parameters())

    _, peaks, _ = run(tmp_path, model, footing.plan, probe=watched, steps=4)
    (event,) = events
    assert torch.equal(*states)
    assert event["measured"] >= 0.98 * max(peaks[1:])  # the first step's includes the probe
    assert 0.8 < event["ratio"] < 1.25, event


def test_a_run_learns_the_same_with_the_probe_or_without(folder, tmp_path):
    events = []
    plan = StepPlan(2000)
    plain, *_ = run(tmp_path / "a", prepare(folder), plan)
    probe = Probe(
        CudaMeter(),
        Recovery(pytest.fail, LAYERS, True),
        0,
        lambda plan: None,
        lambda kind, **fields: events.append(fields),
        lambda *_: None,
    )
    mine, *_ = run(tmp_path / "b", prepare(folder), plan, probe=probe)
    assert mine == pytest.approx(plain, rel=1e-3) and events[0]["measured"] > 0  # flash backward is not deterministic


def test_a_plan_that_fits_does_not_run_out(folder, tmp_path):
    """From plenty to little: rows get shorter, then layers recompute, and none of the plans ends in a retry."""
    model = prepare(folder)
    largest, _ = footing_for(folder, model, 60 << 30)
    parts, seen = largest.predict(largest.plan), []
    standing = parts.weights + parts.trained
    for share in (1.2, 0.6, 0.35, 0.2):
        room = standing + round(share * (parts.total - standing - CONTEXT))
        footing, told = footing_for(folder, model, room + CONTEXT)
        if told:
            break  # nothing fits into so little, and it says so
        seen.append(footing.plan)
        cap(room)
        run(tmp_path / str(share), model, footing.plan, recovery=Recovery(pytest.fail, LAYERS, True))
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(seen) > 1 and seen[0] != seen[-1]


def test_a_step_that_runs_out_is_done_again_and_learns_the_same(folder, tmp_path):
    """A row of a whole step where there is room for half of it."""
    plan = StepPlan(BATCH * ACCUMULATE * max(LENGTHS))
    whole, peaks, _ = run(tmp_path / "a", prepare(folder), plan)
    model, told = prepare(folder), []
    standing = torch.cuda.memory_allocated()
    cap(standing + round(0.6 * (max(peaks) - standing)))
    mine, _, trainer = run(tmp_path / "b", model, plan, recovery=Recovery(told.append, LAYERS, True))
    assert told and {problem.code for problem in told} == {"memory_retry"}
    assert trainer.plan.row_tokens < plan.row_tokens
    assert mine == pytest.approx(whole, rel=5e-3)


def test_the_probe_finds_the_plan_that_fits(folder, tmp_path):
    plan = StepPlan(BATCH * ACCUMULATE * max(LENGTHS))
    _, peaks, _ = run(tmp_path / "a", prepare(folder), plan)
    model, told, events = prepare(folder), [], []
    standing = torch.cuda.memory_allocated()
    cap(standing + round(0.6 * (max(peaks) - standing)))
    recovery = Recovery(told.append, LAYERS, True)
    write = lambda kind, **fields: events.append(fields)  # noqa: E731
    probe = Probe(CudaMeter(), recovery, 0, lambda plan: None, write, lambda *_: None)
    run(tmp_path / "b", model, plan, recovery=recovery, probe=probe)
    assert {problem.code for problem in told} == {"memory_probe_short"} and recovery.left == 3
    assert len(events) == 1 and events[0]["plan"]["row_tokens"] < plan.row_tokens


def test_the_device_is_told_with_what_we_have_of_it(folder):
    before = torch.cuda.mem_get_info(DEVICE)[0]
    model = prepare(folder)
    found = device_now(model)
    assert found.kind == "cuda" and found.name == torch.cuda.get_device_name(DEVICE)
    assert found.capability == torch.cuda.get_device_capability(DEVICE) and found.uuid
    assert abs(found.free - (before + torch.cuda.memory_reserved(DEVICE) + CONTEXT)) < 2048 * MIB
    assert found.free > torch.cuda.mem_get_info(DEVICE)[0]
