"""What of a config moves memory, against the trainer's own decisions and real optimisers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.optimization import Adafactor

from engine.config.schema import TrainConfig
from engine.memory.job import Device, Recipe
from engine.memory.recipe import can_pack, recipe_of
from engine.memory.shape import shape_of
from engine.train.adapters import lora_targets
from engine.train.optimisers import Muon
from engine.train.precision import choose_precision
from engine.train.selfcheck import suitable
from tests.unit.memory_configs import FAMILIES, REAL

H100 = Device("cuda", "NVIDIA H100", 80 << 30, 79 << 30, capability=(9, 0))
T4 = Device("cuda", "Tesla T4", 16 << 30, 15 << 30, capability=(7, 5))
CPU = Device("cpu", "a processor", 32 << 30, 30 << 30)
SMOL = REAL["SmolLM2-135M"]


def config_of(**keys: Any) -> TrainConfig:
    """A train config with these keys."""
    return TrainConfig(model_name_or_path="m", output_dir="o", **keys)


def recipe(device: Device = H100, model: dict[str, Any] = SMOL, passed: Any = None, **keys: Any) -> Recipe:
    """The recipe of a config with these keys."""
    return recipe_of(config_of(**keys), passed or {}, shape_of(model), device, fast_bf16=lambda: False)


def test_lora_in_bf16_on_a_gpu() -> None:
    found = recipe(bf16=True, lora_rank=16)
    assert (found.base, found.autocast, found.compute, found.trained) == ("bfloat16", "bfloat16", "bfloat16", "float32")
    assert (found.kind, found.method, found.rank, found.bits) == ("cuda", "lora", 16, None)
    assert (found.attention, found.packed, found.all_recompute, found.state) == ("varlen", True, None, 8.0)


def test_an_older_gpu_takes_fp16_and_one_sample_at_a_time() -> None:
    found = recipe(T4, bf16=True)
    assert (found.base, found.autocast, found.attention) == ("float16", "float16", "sdpa")


def test_an_unknown_capability_counts_as_a_newer_gpu() -> None:
    assert recipe(Device("cuda", "?", 1, 1), bf16=True).attention == "varlen"


@pytest.mark.parametrize("keys", [{}, {"bf16": True}, {"fp16": True}, {"pure_bf16": True}])
def test_on_a_processor_it_is_what_the_trainer_chooses(keys: dict[str, Any], monkeypatch: Any) -> None:
    for fast in (False, True):
        monkeypatch.setattr("engine.train.precision.cpu_has_fast_bf16", lambda fast=fast: fast)
        config = config_of(**keys)
        chosen = choose_precision(config, torch.device("cpu"), torch.bfloat16)
        found = recipe_of(config, {}, shape_of(SMOL), CPU, fast_bf16=lambda fast=fast: fast)
        load = torch.bfloat16 if chosen.load == "auto" else chosen.load
        assert getattr(torch, found.base) is load
        assert (getattr(torch, found.autocast) if found.autocast else None) is chosen.autocast
        assert found.attention == "sdpa"


def test_use_cpu_wins_over_the_device() -> None:
    assert recipe(H100, use_cpu=True, bf16=True).kind == "cpu"


def test_what_is_trained_is_in_fp32_but_for_pure_bf16_without_an_adapter() -> None:
    assert recipe(pure_bf16=True).trained == "float32"  # peft's adapters
    full = recipe(pure_bf16=True, finetuning_type="full")
    assert (full.base, full.trained, full.autocast, full.state, full.targets) == ("bfloat16", "bfloat16", None, 4.0, ())
    mixed = recipe(bf16=True, finetuning_type="full")
    assert (mixed.base, mixed.trained, mixed.autocast, mixed.state) == ("float32", "float32", "bfloat16", 8.0)


def test_hidden_states_in_fp32_keep_the_variable_length_kernel_away() -> None:
    assert recipe(bf16=True, finetuning_type="full").attention == "sdpa"
    assert recipe(bf16=True, additional_target="embed_tokens").attention == "sdpa"
    assert recipe(bf16=True, additional_target="lm_head").attention == "varlen"
    assert recipe().attention == "varlen"  # bf16 weights without autocast


def test_quantisation() -> None:
    assert (recipe(quantization_bit=4).bits, recipe(quantization_bit=4).double) == (4, True)
    assert not recipe(quantization_bit=4, double_quantization=False).double
    assert (recipe(quantization_bit=8).bits, recipe(quantization_bit=8).double) == (8, False)
    gptq = {**SMOL, "quantization_config": {"quant_method": "gptq", "bits": 4}}
    assert recipe(model=gptq).bits == 4
    unpacked = {**SMOL, "quantization_config": {"quant_method": "mxfp4"}}
    assert recipe(model=unpacked).bits is None


def on_meta(model: dict[str, Any]) -> Any:
    """transformers' model of it."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**model))


@pytest.mark.parametrize("name", ["qwen3", "phi3", "phi", "glm4", "qwen2_moe", "deepseek_v2", "gpt_neox", "bloom"])
def test_all_targets_are_those_of_the_trainer_and_packing_its_facts(name: str) -> None:
    model = on_meta(FAMILIES[name])
    found = recipe(model=FAMILIES[name])
    assert list(found.targets) == lora_targets(model, ["all"])
    assert found.packed == (suitable(model, {}) is None)


def test_named_targets_and_modules_trained_in_full() -> None:
    found = recipe(lora_target="q_proj, v_proj", additional_target="embed_tokens,lm_head")
    assert (found.targets, found.saved) == (("q_proj", "v_proj"), ("embed_tokens", "lm_head"))
    assert recipe(add_tokens="<a>").saved == ("embed_tokens", "lm_head")
    assert recipe(model=FAMILIES["gpt2"], resize_vocab=True).saved == ("lm_head", "wte")


def test_freeze() -> None:
    found = recipe(finetuning_type="freeze", freeze_trainable_layers=-3, freeze_extra_modules="embed_tokens")
    assert (found.method, found.trained_layers, found.saved, found.rank) == ("freeze", -3, ("embed_tokens",), 8)


@pytest.mark.parametrize(
    ("keys", "passed", "model"),
    [
        ({}, {"neftune_noise_alpha": 5}, {}),
        ({}, {"use_liger_kernel": True}, {}),
        ({"flash_attn": "sdpa"}, {}, {}),
        ({"optim": "adalomo"}, {}, {}),
        ({}, {}, {"layer_types": ["linear_attention"] * 30}),
        ({}, {}, {"output_router_logits": True}),
    ],
)
def test_what_needs_padded_micro_batches(keys: Any, passed: Any, model: Any) -> None:
    assert can_pack(config_of(), {}, shape_of(SMOL))
    assert not can_pack(config_of(**keys), passed, shape_of({**SMOL, **model}))
    assert recipe_of(config_of(**keys), passed, shape_of({**SMOL, **model}), H100, packed=True).packed


def test_kernels_of_padded_micro_batches() -> None:
    assert recipe(flash_attn="disabled", bf16=True).attention == "eager"
    assert recipe(flash_attn="sdpa", bf16=True).attention == "sdpa"
    assert recipe(flash_attn="fa2", bf16=True).attention == "varlen"
    found = recipe(flash_attn="sdpa", per_device_train_batch_size=3)
    assert (found.packed, found.micro_batch) == (False, 3)


def test_the_switch_for_checkpointing() -> None:
    assert recipe(disable_gradient_checkpointing=True).all_recompute is False
    assert recipe(disable_gradient_checkpointing=False).all_recompute is True
    assert recipe().all_recompute is None


def state_of(optimiser: torch.optim.Optimizer) -> float:
    """Bytes of state for each element, after a step."""
    parameters = [one for group in optimiser.param_groups for one in group["params"]]
    for one in parameters:
        one.grad = torch.ones_like(one)
    optimiser.step()
    pieces = [piece for state in optimiser.state.values() for piece in state.values()]
    size = sum(p.numel() * p.element_size() for p in pieces if isinstance(p, torch.Tensor) and p.ndim)
    return size / sum(one.numel() for one in parameters)


def muon(parameters: list[Any]) -> Any:
    """Ours, with the usual numbers."""
    module = torch.nn.Module()
    module.register_parameter("lora_A", parameters[0])
    arguments: Any = SimpleNamespace(
        adam_beta1=0.9, adam_beta2=0.999, learning_rate=1e-3, weight_decay=0.0, adam_epsilon=1e-8
    )
    return Muon.of(module, arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("keys", "made"),
    [
        ({"optim": "adamw_torch_fused"}, torch.optim.AdamW),
        ({"optim": "adamw_torch"}, torch.optim.AdamW),
        ({"optim": "sgd"}, lambda parameters: torch.optim.SGD(parameters, lr=1e-3)),
        ({"optim": "adagrad"}, torch.optim.Adagrad),
        ({"optim": "rmsprop"}, torch.optim.RMSprop),
        ({"use_muon": True}, muon),
    ],
)
def test_optimiser_state_is_that_of_the_real_ones(keys: dict[str, Any], made: Any, dtype: torch.dtype) -> None:
    real = state_of(made([torch.nn.Parameter(torch.ones(8, 576, dtype=dtype))]))
    pure = {"finetuning_type": "full", "pure_bf16": True} if dtype is torch.bfloat16 else {}
    if pure and keys.get("use_muon"):
        pytest.skip("in full training embeddings have two moments")
    assert recipe(**keys, **pure).state == real


def test_adafactor_keeps_rows_and_columns() -> None:
    real = state_of(Adafactor([torch.nn.Parameter(torch.ones(16, 576))]))
    assert recipe(optim="adafactor", lora_rank=16).state == pytest.approx(real, rel=0.1)


def test_muon_in_full_training_between_one_and_two_moments() -> None:
    shape = shape_of(SMOL)
    inside = sum(one.weights for layer in shape.layers for one in layer.linears)
    expected = (4 * inside + 8 * (shape.parameters - inside)) / shape.parameters
    assert recipe(finetuning_type="full", use_muon=True).state == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "bytes_each"),
    [
        ("adamw_8bit", 2 * (1 + 4 / 256)),
        ("paged_adamw_8bit", 2 * (1 + 4 / 256)),
        ("adamw_bnb_8bit", 2 * (1 + 4 / 256)),
        ("paged_adamw_32bit", 8.0),
        ("lion_32bit", 4.0),
        ("lion_8bit", 1 + 4 / 256),
        ("ademamix", 12.0),
        ("adalomo", 0.0),
    ],
)
def test_state_of_optimisers_that_are_not_here(name: str, bytes_each: float) -> None:
    assert recipe(optim=name).state == pytest.approx(bytes_each)


def test_only_torchs_own_adamw_takes_something_in_passing_on_a_gpu() -> None:
    assert recipe(optim="adamw_torch").update == 4.0
    assert recipe(optim="adamw_torch_fused").update == recipe(CPU, optim="adamw_torch").update == 0.0
