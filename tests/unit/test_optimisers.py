"""Optimisers beyond Trainer's own, the schedule that needs lengths, and names that cannot be had."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import TrainingArguments

from engine.errors import EnvironmentProblem
from engine.train.optimisers import Muon, check_optimiser, orthogonal, own_optimiser
from engine.train.trainer import StepTrainer
from tests.unit.method_toys import prepare, train, train_config

pytestmark = pytest.mark.usefixtures("quick")


def arguments(**more):
    return TrainingArguments(output_dir="x", use_cpu=True, report_to="none", **more)


def moved(optimiser, parameter, gradients):
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimiser.step()
    return parameter.detach()


# --- Muon


@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_a_matrix_moves_as_torchs_muon(shape):
    """torch.optim.Muon with the same scale is the reference; its momentum differs by a factor that cancels."""
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(4)]
    mine, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    settings = {"lr": 1e-2, "weight_decay": 0.1}
    one = moved(Muon([{"params": [mine], "matrices": True}], **settings), mine, gradients)
    reference = torch.optim.Muon([theirs], momentum=0.95, adjust_lr_fn="match_rms_adamw", **settings)
    other = moved(reference, theirs, gradients)
    step = (one - start).abs().max()
    assert step > 1e-3
    assert (one - other).abs().max() < 0.05 * step  # both in bfloat16


def test_an_update_is_nearly_orthogonal():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(16, 40), 5).float())
    assert 0.5 < values.min() <= values.max() < 1.3


def test_the_rest_moves_as_adamw():
    torch.manual_seed(0)
    start, gradients = torch.randn(30), [torch.randn(30) for _ in range(4)]
    mine, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    settings = {"lr": 1e-2, "weight_decay": 0.1, "betas": (0.9, 0.99), "eps": 1e-12}
    one = moved(Muon([{"params": [mine]}], **settings), mine, gradients)
    other = moved(torch.optim.AdamW([theirs], **settings), theirs, gradients)
    assert torch.allclose(one, other, atol=1e-6)


def test_muon_takes_the_matrices_inside_the_layers(llama):
    """As LLaMA-Factory: not embeddings, head or vectors."""
    model, _ = prepare(llama, finetuning_type="full")
    optimiser = own_optimiser(train_config(llama, use_muon=True, finetuning_type="full"), model, arguments())
    names = {id(p): name for name, p in model.named_parameters()}
    inside = {names[id(p)] for group in optimiser.param_groups if group["matrices"] for p in group["params"]}
    assert inside == {name for name in names.values() if name.endswith("_proj.weight")}
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(names)


@pytest.mark.parametrize("keys", [{"use_muon": True}, {"loraplus_lr_ratio": 4.0}])
def test_a_resumed_run_has_its_optimisers_state(tmp_path, llama, keys):
    """Momentum that was lost would show as another loss."""
    config = train_config(llama, **keys)
    settings = {"token_budget": 60, "max_steps": 4, "save_strategy": "steps", "save_steps": 2, "learning_rate": 1e-2}
    model, _ = prepare(llama, **keys)
    train(StepTrainer, tmp_path, model, config=config, **settings)
    again, _ = prepare(llama, **keys)
    train(StepTrainer, tmp_path, again, config=config, resume=str(tmp_path / "checkpoint-2"), **settings)
    expected = dict(model.named_parameters())
    for name, weight in again.named_parameters():
        assert torch.equal(weight, expected[name]), name


# --- schedules


def test_warmup_stable_decay_has_llamafactorys_lengths(tmp_path, llama):
    """10 steps, 1 of warm-up: 3 stable, 6 of a cosine to 0. transformers alone ends with an error."""
    model, _ = prepare(llama, lora_target="q_proj")
    trainer, _ = train(
        StepTrainer,
        tmp_path,
        model,
        max_steps=10,
        warmup_steps=1,
        lr_scheduler_type="warmup_stable_decay",
        learning_rate=1.0,
        gradient_accumulation_steps=1,
        token_budget=60,
    )
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    decay = [(1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)]
    assert rates == pytest.approx([0.0, 1.0, 1.0, 1.0, *decay], abs=1e-6)


def test_lengths_that_are_given_count(tmp_path, llama):
    model, _ = prepare(llama, lora_target="q_proj")
    kwargs = {"num_stable_steps": 1, "num_decay_steps": 2, "decay_type": "linear"}
    trainer, _ = train(
        StepTrainer,
        tmp_path,
        model,
        max_steps=4,
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs=kwargs,
        learning_rate=1.0,
        token_budget=60,
    )
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    assert rates == pytest.approx([1.0, 1.0, 0.5, 0.0])


# --- names


def test_a_name_that_this_transformers_lacks_is_said_before_the_run():
    """The table knows those of all versions that are supported."""
    check_optimiser(train_config("m", optim="adamw_torch"))
    with pytest.raises(EnvironmentProblem) as found:
        check_optimiser(train_config("m", optim="stable_adamw"), known=("adamw_torch",))
    assert found.value.problems[0].code == "optimiser_too_new"


@pytest.mark.parametrize("name", ["paged_adamw_8bit", "adamw_8bit", "lion_8bit"])
def test_bitsandbytes_optimisers_learn_on_a_cpu_too(tmp_path, llama, name):
    pytest.importorskip("bitsandbytes")
    model, _ = prepare(llama, lora_target="q_proj")
    before = {key: p.detach().clone() for key, p in model.named_parameters() if "lora_B" in key}
    train(StepTrainer, tmp_path, model, optim=name, max_steps=1, token_budget=60)
    after = dict(model.named_parameters())
    assert all((after[key] - value).any() for key, value in before.items())
