"""Number formats: what a run calculates in, and what it keeps its weights in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig

from engine.config.schema import TrainConfig
from engine.errors import ConfigError, EnvironmentProblem, Problem
from engine.hardware import cpu_has_fast_bf16

NORMALISATIONS = ("norm", "ln")  # LLaMA-Factory's: a one-dimensional parameter with this in its name


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
    """bf16 or fp16 as asked and as the device can. On a CPU bf16 pays only with instructions for it; else fp32.

    pure_bf16 keeps all weights in bfloat16, without autocast; EnvironmentProblem where the GPU has none.
    """
    note = lambda code, **params: (Problem(code, params, severity="note"),)  # noqa: E731
    has_bf16 = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    if config.pure_bf16:
        if not has_bf16:
            params = {"device": torch.cuda.get_device_name(device)}
            raise EnvironmentProblem(Problem("pure_bf16_impossible", params, "pure_bf16"))
        return Precision(None, torch.bfloat16)
    if device.type == "cuda":
        if config.bf16 and not has_bf16:
            load = torch.float16 if model_dtype == torch.bfloat16 else "auto"
            return Precision(torch.float16, load, note("bf16_to_fp16", device=torch.cuda.get_device_name(device)))
        return Precision(torch.bfloat16 if config.bf16 else torch.float16 if config.fp16 else None, "auto")
    if config.bf16 and cpu_has_fast_bf16():
        return Precision(torch.bfloat16, "auto", note("cpu_bf16"))
    return Precision(None, torch.float32, note("cpu_fp32") if config.bf16 or config.fp16 else ())


def stored_dtype(path: Path, trust_remote_code: bool) -> torch.dtype | None:
    """The dtype that config.json announces."""
    found = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code, local_files_only=True).dtype
    return found if isinstance(found, torch.dtype) else None


def upcast_normalisations(model: torch.nn.Module) -> None:
    """upcast_layernorm: the weights and biases of normalisation layers in fp32, by LLaMA-Factory's rule."""
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 and any(part in name for part in NORMALISATIONS):
            parameter.data = parameter.data.float()


def upcast_trainable(model: torch.nn.Module) -> None:
    """What is trained in fp32: small steps would be lost in 16 bits."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def refuse_mixed(model: torch.nn.Module, precision: Precision) -> None:
    """Raise ConfigError where 16-bit and fp32 layers would meet without autocast: torch multiplies only alike."""
    if precision.autocast or getattr(model, "quantization_method", None):
        return
    there = {p.dtype for name, p in model.named_parameters() if p.is_floating_point() and "lora_" not in name}
    if len(there) > 1:
        dtypes = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in there))
        raise ConfigError(Problem("mixed_without_autocast", {"dtypes": dtypes}, "bf16"))
