"""The model that is trained: device, number formats, base weights, adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from engine.config.schema import TrainConfig, names
from engine.errors import ConfigError, EnvironmentProblem, Problem
from engine.train.attention import NAME


@dataclass(frozen=True)
class Precision:
    """What is calculated in what. autocast: None, torch.bfloat16 or torch.float16; load: dtype of the base weights."""

    autocast: torch.dtype | None
    load: torch.dtype | str
    notes: tuple[Problem, ...] = ()

    @property
    def compute(self) -> torch.dtype:
        """The dtype that sums are rounded to, for tolerances."""
        return self.autocast or (self.load if isinstance(self.load, torch.dtype) else torch.float32)


def choose_precision(config: TrainConfig, device: torch.device, model_dtype: torch.dtype | None) -> Precision:
    """bf16 or fp16 as asked and as the device can. On a CPU bf16 pays only with instructions for it; else fp32."""
    note = lambda code, **params: (Problem(code, params, severity="note"),)  # noqa: E731
    if device.type == "cuda":
        if config.bf16 and not torch.cuda.is_bf16_supported(including_emulation=False):
            load = torch.float16 if model_dtype == torch.bfloat16 else "auto"
            return Precision(torch.float16, load, note("bf16_to_fp16", device=torch.cuda.get_device_name(device)))
        return Precision(torch.bfloat16 if config.bf16 else torch.float16 if config.fp16 else None, "auto")
    if config.bf16 and cpu_has_fast_bf16():
        return Precision(torch.bfloat16, "auto", note("cpu_bf16"))
    return Precision(None, torch.float32, note("cpu_fp32") if config.bf16 or config.fp16 else ())


def cpu_has_fast_bf16() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32 (avx512_bf16 or amx_bf16, sve bf16)."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "svebf16"))


def load_base(config: TrainConfig, path: Path, precision: Precision, device: torch.device) -> torch.nn.Module:
    """The causal LM in `path` on `device`, quantised where asked, without cache.

    Its attention is `per_sample` wherever the architecture lets one be chosen.
    """
    options: dict[str, Any] = {}
    if config.quantization_bit:
        if device.type != "cuda":
            raise EnvironmentProblem(
                Problem("quantization_needs_gpu", {"bits": config.quantization_bit}, "quantization_bit")
            )
        compute = precision.autocast or torch.bfloat16
        options["quantization_config"] = (
            BitsAndBytesConfig(load_in_8bit=True)
            if config.quantization_bit == 8
            else BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type=config.quantization_type,
                bnb_4bit_use_double_quant=config.double_quantization,
                bnb_4bit_compute_dtype=compute,
                bnb_4bit_quant_storage=compute,
            )
        )
    options |= {
        "dtype": precision.load,
        "device_map": {"": device},
        "trust_remote_code": config.trust_remote_code,
        "local_files_only": True,
    }
    try:
        model = AutoModelForCausalLM.from_pretrained(path, attn_implementation=NAME, **options)
    except (KeyError, ValueError) as error:  # falcon, gptj and others look their attention up in a table of their own
        if NAME not in str(error):
            raise
        model = AutoModelForCausalLM.from_pretrained(path, **options)
    model.config.use_cache = False
    return model


def stored_dtype(path: Path, trust_remote_code: bool) -> torch.dtype | None:
    """The dtype that config.json announces."""
    found = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code, local_files_only=True).dtype
    return found if isinstance(found, torch.dtype) else None


def add_adapter(model: torch.nn.Module, config: TrainConfig) -> torch.nn.Module:
    """Wrap `model` with a new LoRA adapter (fp32), or with the one that the config goes on from."""
    from peft import LoraConfig, PeftModel, get_peft_model

    given = names(config.adapter_name_or_path)
    if given:
        wrapped = PeftModel.from_pretrained(model, given[0], is_trainable=True)
    else:
        lora = LoraConfig(
            task_type="CAUSAL_LM",
            r=config.lora_rank,
            lora_alpha=config.lora_alpha or 2 * config.lora_rank,
            lora_dropout=config.lora_dropout,
            use_rslora=config.use_rslora,
            target_modules=lora_targets(model, names(config.lora_target)),
            modules_to_save=names(config.additional_target) or None,
        )
        try:
            wrapped = get_peft_model(model, lora)
        except ValueError as error:
            if "Target modules" not in str(error):
                raise
            there = sorted({name.rpartition(".")[2] for name in linear_modules(model)})
            params = {"given": names(config.lora_target), "there": there}
            raise ConfigError(Problem("lora_target_unknown", params, "lora_target")) from None
    for adapter in wrapped.peft_config.values():
        adapter.base_model_name_or_path = model.name_or_path
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return wrapped


def lora_targets(model: torch.nn.Module, given: list[str]) -> list[str] | str:
    """`all`: the last name of every linear layer but the output head; else what was given."""
    if given != ["all"]:
        return given
    found = sorted({name.rpartition(".")[2] for name in linear_modules(model)})
    return found or "all-linear"  # Conv1D models, which peft knows


def linear_modules(model: torch.nn.Module) -> list[str]:
    """Full names of linear layers, quantised ones included, but the output head."""
    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if "Linear" in type(module).__name__ and module is not head and "lm_head" not in name
    ]


def checkpoint_activations(model: torch.nn.Module) -> None:
    """Recompute each layer in backward instead of keeping its activations. Exact."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def skip_adapter_casts(model: torch.nn.Module) -> None:
    """Under autocast peft's cast of every adapter input to fp32 is undone at once: leave it out. Bit-identical."""
    for module in model.modules():
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False
