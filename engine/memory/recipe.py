"""What of a train config moves memory, decided as engine/train decides it, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from engine.config.rules import grows_vocabulary
from engine.config.schema import TrainConfig, names
from engine.hardware import cpu_has_fast_bf16
from engine.memory.job import Device, Dtype, Recipe
from engine.memory.optimiser_state import state_bytes, update_bytes
from engine.memory.shape import ModelShape

_PACKED_TYPES = {"full_attention", "sliding_attention"}
_PADDING_KEYS = ("neftune_noise_alpha", "use_liger_kernel", "torch_compile")
_UNPACKED = ("mxfp4", "fp8")  # dequantised on load (engine/train/quantised.py)


def recipe_of(
    config: TrainConfig,
    passed: Mapping[str, Any],
    shape: ModelShape,
    device: Device,
    *,
    packed: bool | None = None,
    fast_bf16: Callable[[], bool] = cpu_has_fast_bf16,
) -> Recipe:
    """The recipe of a config on a kind of device. passed: keys for TrainingArguments, as given.

    packed: what the trainer's self-check found; None: what can be known without the model. fast_bf16: whether the
    processor multiplies bfloat16 fast.
    """
    kind: Literal["cuda", "cpu"] = "cpu" if config.use_cpu else device.kind
    newer = device.capability >= (8, 0) or device.capability == (0, 0)  # unknown: what most GPUs in use are
    base, autocast = _precision(config, kind, newer, shape.dtype, fast_bf16)
    bits, double = _bits(config, shape)
    trained: Dtype = base if config.pure_bf16 and config.finetuning_type != "lora" else "float32"
    if config.finetuning_type == "full":
        base = trained
    keep = config.disable_gradient_checkpointing
    in_rows = can_pack(config, passed, shape) if packed is None else packed
    saved = _saved(config, shape)
    recipe = Recipe(
        kind=kind,
        method=config.finetuning_type,
        base=base,
        bits=bits,
        double=double,
        autocast=autocast,
        trained=trained,
        rank=config.lora_rank,
        dropout=config.lora_dropout if config.finetuning_type == "lora" else 0.0,
        dora=config.use_dora,
        targets=_targets(config, shape),
        saved=saved,
        trained_layers=config.freeze_trainable_layers if config.finetuning_type == "freeze" else 0,
        state=state_bytes(config, trained, shape),
        update=update_bytes(config, trained, kind),
        packed=in_rows,
        micro_batch=config.per_device_train_batch_size,
        attention="sdpa",
        all_recompute=None if keep is None else not keep,
    )
    return replace(recipe, attention=_attention(config, shape, recipe, newer))


def can_pack(config: TrainConfig, passed: Mapping[str, Any], shape: ModelShape) -> bool:
    """Whether rows without padding may be tried: the part of engine/train/selfcheck.py that needs no model."""
    return not (
        shape.stateful
        or set(shape.layer_types) - _PACKED_TYPES
        or not shape.sdpa
        or shape.router_loss
        or (config.moe_aux_loss_coef and any(layer.experts for layer in shape.layers))
        or any(passed.get(key) for key in _PADDING_KEYS)
        or "lomo" in config.optim
        or config.flash_attn != "auto"
    )


def _precision(
    config: TrainConfig, kind: str, newer: bool, stored: Dtype, fast_bf16: Callable[[], bool]
) -> tuple[Dtype, Dtype | None]:
    """(dtype that the base is loaded in, dtype of autocast): engine/train/precision.py, choose_precision."""
    if config.pure_bf16:
        return "bfloat16", None
    if kind == "cuda":
        if config.bf16 and not newer:
            return ("float16" if stored == "bfloat16" else stored), "float16"
        return stored, "bfloat16" if config.bf16 else "float16" if config.fp16 else None
    if config.bf16 and fast_bf16():
        return stored, "bfloat16"
    return "float32", None


def _bits(config: TrainConfig, shape: ModelShape) -> tuple[Literal[4, 8] | None, bool]:
    """(bits of the linear layers, whether their constants are quantised): engine/train/quantised.py, quantisation."""
    if shape.quantised in _UNPACKED:
        return None, False
    bits = shape.bits if shape.quantised else config.quantization_bit
    if bits is None:
        return None, False
    return (4, config.double_quantization and not shape.quantised) if bits == 4 else (8, False)


def _targets(config: TrainConfig, shape: ModelShape) -> tuple[str, ...]:
    """Last names of what gets an adapter: engine/train/adapters.py, lora_targets."""
    if config.finetuning_type != "lora":
        return ()
    given = names(config.lora_target)
    if given != ["all"]:
        return tuple(given)
    return tuple(sorted({linear.name for layer in shape.layers for linear in layer.linears}))


def _saved(config: TrainConfig, shape: ModelShape) -> tuple[str, ...]:
    """Last names of modules that are trained in full beside an adapter, or outside of the layers that learn."""
    if config.finetuning_type == "full":
        return ()
    if config.finetuning_type == "freeze":
        return tuple(names(config.freeze_extra_modules))
    saved = names(config.additional_target)
    if not saved and grows_vocabulary(config):
        saved = sorted((shape.embedding_name, "lm_head"))
    return tuple(saved)


def _attention(
    config: TrainConfig, shape: ModelShape, recipe: Recipe, newer: bool
) -> Literal["varlen", "sdpa", "eager"]:
    """Which kernel attention goes through: engine/train/attention.py, kernels.py.

    Rotary positions come in the dtype of the hidden states and raise q to it, so the variable-length kernel, which
    knows 16 bits only, needs both in 16.
    """
    half = "float32" not in (recipe.compute, recipe.between)
    flash = recipe.kind == "cuda" and newer and half
    if recipe.packed:
        return "varlen" if flash and not shape.dropout else "sdpa"
    if config.flash_attn == "disabled" or not shape.sdpa:
        return "eager"
    return "varlen" if flash and config.flash_attn in ("fa2", "fa3") else "sdpa"
