"""The base model in memory: its configuration as the keys change it, its attention, its weights, its device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from engine.config.schema import TrainConfig
from engine.errors import Problem
from engine.train.attention import NAME
from engine.train.kernels import attention_kernel, fuse_kernels
from engine.train.positions import stretch_positions
from engine.train.precision import Precision
from engine.train.quantised import quantisation

Tell = Callable[[Problem], None]

# Mixtures of experts whose transformers classes add a balancing loss, LLaMA-Factory's list.
_BALANCED = {
    *("dbrx", "ernie4_5_moe", "granitemoe", "jamba", "jetmoe", "llama4", "mixtral"),
    *("olmoe", "phimoe", "qwen2_moe", "qwen3_moe"),
}


def load_base(
    config: TrainConfig, path: Path, precision: Precision, device: torch.device, tell: Tell
) -> torch.nn.Module:
    """The causal LM in `path` on `device`, quantised where asked, without cache; random with train_from_scratch.

    Its attention is `per_sample`, or what flash_attn asks for, wherever the architecture lets one be chosen.
    """
    own: dict[str, Any] = {"trust_remote_code": config.trust_remote_code, "local_files_only": True}
    wanted = AutoConfig.from_pretrained(path, **own)
    if config.rope_scaling:
        tell(stretch_positions(wanted, config.rope_scaling, config.cutoff_len))
    if config.moe_aux_loss_coef:
        balance_experts(wanted, config.moe_aux_loss_coef, tell)
    if config.enable_liger_kernel:
        fuse_kernels(wanted.model_type, device, tell)
    wanted.use_cache = False
    kernel = attention_kernel(config.flash_attn, device, tell)
    options: dict[str, Any] = {"dtype": precision.load, "attn_implementation": kernel}
    if config.train_from_scratch:
        tell(Problem("from_scratch", {}, "train_from_scratch", severity="warning"))
        if precision.load == "auto":
            options["dtype"] = wanted.dtype or torch.float32
        make, own = _from_scratch(wanted, device), {"trust_remote_code": config.trust_remote_code}
    else:
        quantised = quantisation(config, wanted, precision, tell)
        if quantised is not None:
            options["quantization_config"] = quantised
        make, own = AutoModelForCausalLM.from_pretrained, {**own, "config": wanted, "device_map": {"": device}}
        own["pretrained_model_name_or_path"] = path
    try:
        model: torch.nn.Module = make(**own, **options)
    except (KeyError, ValueError) as error:  # falcon, gptj and others look their attention up in a table of their own
        if NAME not in str(error) and "attention implementation" not in str(error):
            raise
        del options["attn_implementation"]
        if kernel != NAME:
            params = {"asked": config.flash_attn}
            tell(Problem("attention_unsupported", params, "flash_attn", severity="warning"))
        model = make(**own, **options)
    return model


def _from_scratch(wanted: Any, device: torch.device) -> Callable[..., Any]:
    """Random weights for this configuration, by the architecture's own rules."""

    def make(**options: Any) -> Any:
        return AutoModelForCausalLM.from_config(wanted, **options).to(device)

    return make


def balance_experts(model_config: Any, weight: float, tell: Tell) -> None:
    """Let the architecture add its balancing loss, times `weight`, to the loss."""
    text = model_config.get_text_config()
    if text.model_type not in _BALANCED:
        params = {"model_type": text.model_type}
        tell(Problem("experts_not_balanced", params, "moe_aux_loss_coef", severity="warning"))
        return
    text.output_router_logits = True
    if hasattr(text, "aux_loss_coef"):
        text.aux_loss_coef = weight
    else:
        text.router_aux_loss_coef = weight


def skip_adapter_casts(model: torch.nn.Module) -> None:
    """Under autocast peft's cast of every adapter input to fp32 is undone at once: leave it out. Bit-identical."""
    for module in model.modules():
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False
