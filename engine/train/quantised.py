"""A base in 4 or 8 bits, through bitsandbytes; and bases that come quantised."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from transformers import BitsAndBytesConfig, FineGrainedFP8Config, Mxfp4Config

from engine.config.schema import TrainConfig
from engine.errors import ConfigError, EnvironmentProblem, Problem
from engine.train.precision import Precision

# What a checkpoint's own quantization_config may say: the package that reads it, None where ours do.
_READERS = {"gptq": "gptqmodel", "awq": "gptqmodel", "aqlm": "aqlm", "hqq": "hqq", "eetq": "eetq"}
_UNPACKED = {"mxfp4": Mxfp4Config, "fp8": FineGrainedFP8Config}  # dequantised on load, as LLaMA-Factory does

Installed = Callable[[str], bool]


def is_installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def quantisation(
    config: TrainConfig,
    model_config: Any,
    precision: Precision,
    tell: Callable[[Problem], None],
    installed: Installed = is_installed,
) -> Any:
    """What from_pretrained takes as quantization_config; None for a base in full precision.

    4-bit weights are stored in the dtype that is calculated in, as LLaMA-Factory does. Raises EnvironmentProblem where
    the package is missing, ConfigError for a base quantised with something that is not to be read here.
    """
    own = getattr(model_config, "quantization_config", None)
    if own:
        return _own(config, own, tell, installed)
    if not config.quantization_bit:
        return None
    if not installed("bitsandbytes"):
        raise EnvironmentProblem(Problem("bitsandbytes_missing", {"key": "quantization_bit"}, "quantization_bit"))
    if config.quantization_bit == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    compute = precision.compute
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=config.quantization_type,
        bnb_4bit_use_double_quant=config.double_quantization,
        bnb_4bit_compute_dtype=compute,
        bnb_4bit_quant_storage=compute,
    )


def _own(config: TrainConfig, own: Any, tell: Callable[[Problem], None], installed: Installed) -> Any:
    """For a checkpoint that is quantised already: unpacked, or read as it is where its package is there."""
    settings = own if isinstance(own, dict) else own.to_dict()
    kind = str(settings.get("quant_method", "?"))
    if config.quantization_bit:
        tell(Problem("already_quantised", {"kind": kind}, "quantization_bit", severity="warning"))
    if kind in _UNPACKED:
        return _UNPACKED[kind](dequantize=True)
    if config.finetuning_type != "lora":
        params = {"key": "quantization_bit", "method": config.finetuning_type}
        raise ConfigError(Problem("quantised_lora_only", params, "finetuning_type"))
    if kind == "bitsandbytes":
        if not installed("bitsandbytes"):
            raise EnvironmentProblem(
                Problem("bitsandbytes_missing", {"key": "model_name_or_path"}, "model_name_or_path")
            )
        return None
    package = _READERS.get(kind)
    if package is None or not installed(package):
        params = {"kind": kind, "package": package or "?"}
        raise ConfigError(Problem("quantised_unreadable", params, "model_name_or_path"))
    return None


def is_quantised(model: torch.nn.Module) -> bool:
    """Whether the base's linear layers are in fewer than 16 bits."""
    return bool(getattr(model, "quantization_method", None))


def held(model: torch.nn.Module) -> dict[str, Any] | None:
    """How bitsandbytes holds the base of a loaded model, for sft_wizard.json: an export can then write the weights that
    the adapter was trained against. None for any other base.
    """
    for module in model.modules():
        weight: Any = module._parameters.get("weight")
        kind = type(weight).__name__
        if kind == "Params4bit":
            state = weight.quant_state
            dtype = str(state.dtype).removeprefix("torch.")
            return {"bits": 4, "type": state.quant_type, "double": bool(state.nested), "dtype": dtype}
        if kind == "Int8Params":
            return {"bits": 8, "type": "nf4", "double": False, "dtype": None}
    return None
