"""Keys that change the base itself: positions, attention, experts, random weights; and NEFTune beside it."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import LlamaConfig, MixtralConfig, Trainer

from engine.errors import EnvironmentProblem
from engine.train.attention import NAME
from engine.train.kernels import attention_kernel, fuse_kernels
from engine.train.methods import asked_attention, base_of
from engine.train.model import balance_experts
from engine.train.positions import stretch_positions
from engine.train.selfcheck import suitable
from engine.train.trainer import StepTrainer
from tests.unit.method_toys import CPU, losses, plain, prepare, save_model, train, train_config

pytestmark = pytest.mark.usefixtures("quick")

THETA, HEAD = 10000.0, 8
INVERSE = [THETA ** (-i / HEAD) for i in range(0, HEAD, 2)]


# --- rope_scaling


def smooth(frequency, factor, known, low=1.0, high=4.0):
    """Llama 3's: short waves stay, long ones are divided, those between are mixed."""
    wave = 2 * math.pi / frequency
    if wave < known / high:
        return frequency
    if wave > known / low:
        return frequency / factor
    share = (known / wave - low) / (high - low)
    return (1 - share) * frequency / factor + share * frequency


@pytest.mark.parametrize("kind", ["linear", "llama3"])
def test_stretched_frequencies_by_hand(llama, kind):
    """64 positions, cutoff_len 150: factor ceil(150 / 64) = 3."""
    model, said = prepare(llama, rope_scaling=kind, cutoff_len=150)
    assert said == ["rope_stretched"]
    expected = [f / 3 if kind == "linear" else smooth(f, 3.0, 64) for f in INVERSE]
    assert base_of(model).model.rotary_emb.inv_freq.tolist() == pytest.approx(expected, rel=1e-5)
    assert model.config.max_position_embeddings == 192


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn", "llama3"])
def test_the_configuration_is_llamafactorys(kind):
    """Field for field what its configure_rope sets, in transformers 5's words; rope_theta kept."""
    config = LlamaConfig(max_position_embeddings=64, rope_theta=5e5)
    stretch_positions(config, kind, 150)
    more = {} if kind == "linear" else {"original_max_position_embeddings": 64}
    more |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0} if kind == "llama3" else {}
    assert config.rope_parameters == {"rope_theta": 5e5, "rope_type": kind, "factor": 3.0, **more}
    assert config.max_position_embeddings == 192


def test_a_model_that_is_stretched_already_is_stretched_from_where_it_began():
    config = LlamaConfig(max_position_embeddings=256)
    config.rope_parameters = {
        **config.rope_parameters,
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    stretch_positions(config, "yarn", 512)
    assert (config.rope_parameters["factor"], config.max_position_embeddings) == (8.0, 512)


def test_positions_that_suffice_stay(llama):
    """Stretching what need not be stretched makes a model worse."""
    model, said = prepare(llama, rope_scaling="yarn", cutoff_len=64)
    assert said == ["rope_not_needed"]
    assert base_of(model).model.rotary_emb.inv_freq.tolist() == pytest.approx(INVERSE, rel=1e-5)


def test_a_model_without_rotary_positions_says_so(tmp_path):
    _, said = prepare(save_model(tmp_path, "gpt2"), rope_scaling="linear", cutoff_len=5000)
    assert said == ["rope_unsupported"]


# --- flash_attn and liger


@pytest.mark.parametrize(
    ("asked", "kernel", "codes"),
    [
        ("auto", NAME, []),
        ("sdpa", "sdpa", []),
        ("disabled", "eager", []),
        ("fa2", NAME, ["flash_missing"]),
        ("fa3", NAME, ["flash_missing"]),
    ],
)
def test_the_attention_is_what_was_asked_for(llama, asked, kernel, codes):
    """Other attentions than ours cannot keep packed samples apart: they take padded batches, and the log says why."""
    model, said = prepare(llama, flash_attn=asked)
    assert (base_of(model).config._attn_implementation, said) == (kernel, codes)
    reason = asked_attention(train_config(llama, flash_attn=asked))
    assert (reason is None) == (asked == "auto")


def test_a_flash_kernel_that_is_there_is_taken(monkeypatch):
    from engine.train import kernels

    monkeypatch.setitem(kernels._FLASH, "fa2", ("flash_attention_2", lambda: True))
    assert attention_kernel("fa2", torch.device("cuda"), print) == "flash_attention_2"
    said = []
    assert attention_kernel("fa2", CPU, said.append) == NAME
    monkeypatch.setitem(kernels._FLASH, "fa3", ("flash_attention_3", lambda: False))
    assert attention_kernel("fa3", torch.device("cuda"), said.append) == NAME
    assert [str(problem.params["reason"]) for problem in said] == [
        "it needs an NVIDIA GPU",
        "the package flash_attn_interface is missing or too old",
    ]


def test_an_attention_that_the_model_cannot_take_is_said(tmp_path):
    """Gemma 2's soft caps are not in SDPA."""
    folder = save_model(tmp_path, "gemma2")
    model, said = prepare(folder, flash_attn="sdpa")
    assert (base_of(model).config._attn_implementation, said) == ("eager", ["attention_unsupported"])


def test_liger_is_for_gpus(llama):
    said = []
    fuse_kernels("llama", CPU, said.append)
    assert [problem.code for problem in said] == ["liger_on_cpu"]
    with pytest.raises(EnvironmentProblem) as found:
        fuse_kernels("llama", torch.device("cuda"), said.append, installed=lambda package: False)
    assert found.value.problems[0].code == "liger_missing"


# --- experts


def test_the_balancing_loss_is_transformers(tmp_path):
    """It does not add up over rows of other sizes: padded batches, and transformers adds it itself."""
    folder = save_model(tmp_path / "m", "mixtral", num_local_experts=4)
    mine, said = prepare(folder, moe_aux_loss_coef=0.5, finetuning_type="full")
    assert said == []
    assert suitable(mine, {}) is not None
    expected = plain(folder, output_router_logits=True, router_aux_loss_coef=0.5)
    ours, gradients = train(StepTrainer, tmp_path / "a", mine, packed=False, max_steps=1)
    others, theirs = train(Trainer, tmp_path / "b", expected, max_steps=1)
    assert losses(ours) == pytest.approx(losses(others), abs=1e-4)
    without = train(Trainer, tmp_path / "c", plain(folder), max_steps=1)[0]
    assert abs(losses(ours)[0] - losses(without)[0]) > 0.1
    for name, gradient in theirs[0].items():
        assert torch.allclose(gradients[0][name], gradient, atol=1e-4 * float(gradient.abs().max()) + 1e-7), name


def test_models_without_a_balancing_loss_say_so(llama):
    _, said = prepare(llama, moe_aux_loss_coef=0.1)
    assert said == ["experts_not_balanced"]
    config = MixtralConfig()
    balance_experts(config, 0.25, print)
    assert (config.output_router_logits, config.router_aux_loss_coef) == (True, 0.25)


# --- the rest


def test_training_from_scratch_begins_with_random_weights(llama):
    """And the same ones for the same seed."""
    one, said = prepare(llama, train_from_scratch=True, finetuning_type="full")
    again, _ = prepare(llama, train_from_scratch=True, finetuning_type="full")
    other, _ = prepare(llama, train_from_scratch=True, finetuning_type="full", seed=1)
    stored = plain(llama)
    assert said == ["from_scratch"]
    head = [model.lm_head.weight for model in (one, again, other, stored)]
    assert torch.equal(head[0], head[1])
    assert not torch.equal(head[0], head[2])
    assert not torch.equal(head[0], head[3])
    assert head[0].std().item() == pytest.approx(0.2, rel=0.1)  # initializer_range
    assert one.dtype == torch.float32


def test_neftune_noise_is_trainers(tmp_path, llama):
    """The noise depends on the padded length, so padded batches it is; then it is the very same noise."""
    assert suitable(plain(llama), {"neftune_noise_alpha": 5.0}) is not None
    settings = {"neftune_noise_alpha": 5.0, "max_steps": 2}
    mine, _ = prepare(llama, finetuning_type="full")
    base_of(mine).set_attn_implementation("sdpa")
    ours, _ = train(StepTrainer, tmp_path / "a", mine, packed=False, **settings)
    others, _ = train(Trainer, tmp_path / "b", plain(llama), **settings)
    quiet, _ = train(Trainer, tmp_path / "c", plain(llama), max_steps=2)
    assert losses(ours) == pytest.approx(losses(others), abs=1e-4)
    assert losses(ours) != pytest.approx(losses(quiet), abs=1e-3)
