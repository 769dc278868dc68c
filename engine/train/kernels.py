"""Kernels that a config asks for by name: flash_attn and enable_liger_kernel."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable

import torch
from transformers.utils import is_flash_attn_2_available, is_flash_attn_3_available

from engine.errors import EnvironmentProblem, Problem
from engine.text import Phrase
from engine.train.attention import NAME
from engine.train.quantised import Installed, is_installed

Tell = Callable[[Problem], None]

_PLAIN = {"disabled": "eager", "sdpa": "sdpa"}
_FLASH = {
    "fa2": ("flash_attention_2", is_flash_attn_2_available),
    "fa3": ("flash_attention_3", is_flash_attn_3_available),
}
_FLASH_PACKAGES = {"fa2": "flash-attn", "fa3": "flash_attn_interface"}


def attention_kernel(asked: str, device: torch.device, tell: Tell) -> str:
    """transformers' name of the attention for flash_attn: ours for auto, and where fa2 or fa3 cannot be had."""
    if asked in _PLAIN:
        return _PLAIN[asked]
    if asked in _FLASH:
        name, available = _FLASH[asked]
        if device.type == "cuda" and available():
            return name
        reason = Phrase("it needs an NVIDIA GPU")
        if device.type == "cuda":
            reason = Phrase("the package {package} is missing or too old", {"package": _FLASH_PACKAGES[asked]})
        tell(Problem("flash_missing", {"asked": asked, "reason": reason}, "flash_attn", severity="warning"))
    return NAME


def fuse_kernels(model_type: str, device: torch.device, tell: Tell, installed: Installed = is_installed) -> None:
    """Replace a model's normalisation, positions and activation by liger-kernel's, before it is built. GPUs only.

    Its fused loss is left out: the step has one of its own. Raises EnvironmentProblem where the package is missing.
    """
    if device.type != "cuda":
        tell(Problem("liger_on_cpu", {}, "enable_liger_kernel", severity="note"))
        return
    if not installed("liger_kernel"):
        raise EnvironmentProblem(Problem("liger_missing", {}, "enable_liger_kernel"))
    known_types = importlib.import_module("liger_kernel.transformers.monkey_patch").MODEL_TYPE_TO_APPLY_LIGER_FN
    apply = known_types.get(model_type)
    if apply is None:
        tell(Problem("liger_unsupported", {"model_type": model_type}, "enable_liger_kernel", severity="warning"))
        return
    known = inspect.signature(apply).parameters
    apply(**{name: False for name in ("cross_entropy", "fused_linear_cross_entropy") if name in known})
