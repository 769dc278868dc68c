"""What can be said of a base model and an adapter from their JSON files and headers: enough to refuse early."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, Problem
from engine.merge.safetensors_io import FLOATS, Checkpoint, Stored
from engine.text import Phrase

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PISSA_INITIAL = "pissa_init"
PISSA_AS_TRAINED = (
    "pissa_backup"  # LLaMA-Factory's copy of the adapter, whose configuration does not say PiSSA any more
)
DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
_CHANGED_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
_NOT_WEIGHTS = {
    "PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT", "CPT", "CARTRIDGE",
    "XLORA", "POLY",
}  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """Both configurations and both headers; `tensors` maps names to places, no weight is read."""

    base_config: dict[str, Any]
    base_tensors: dict[str, Stored]
    adapter_config: dict[str, Any]
    adapter_tensors: dict[str, Stored]

    @property
    def plain_lora(self) -> bool:
        """Whether every change is base + scaling * B @ A on a linear layer, as far as the configuration tells."""
        config = self.adapter_config
        unusual = ("use_dora", "lora_bias", "fan_in_fan_out", "modules_to_save", "target_parameters", "use_qalora")
        return (
            config.get("peft_type") == "LORA"
            and not any(config.get(key) for key in (*unusual, "trainable_token_indices"))
            and config.get("bias", "none") == "none"
            and not any("lora_embedding" in name for name in self.adapter_tensors)
        )


def read_inputs(base: Path, adapter: Path, *, convertible: bool = False) -> Inputs:
    """Read and check what needs no model; `convertible` lets a PiSSA adapter pass that `pissa.ordinary` converts.

    Raises ConfigError with the code of what is missing or cannot be merged."""
    of_base = read_base(base)
    adapter_config = _json(adapter / ADAPTER_CONFIG, "merge_adapter_missing")
    if not (convertible and (pissa_start(adapter, adapter_config) or pissa_is_exact(adapter_config))):
        _refuse_unmergeable(adapter_config)
    if not (adapter / ADAPTER_WEIGHTS).is_file():
        pickle = adapter / "adapter_model.bin"
        code = "merge_adapter_not_safetensors" if pickle.is_file() else "merge_adapter_missing"
        name = pickle.name if pickle.is_file() else ADAPTER_WEIGHTS
        raise ConfigError(Problem(code, {"folder": str(adapter), "name": name}))
    with Checkpoint(adapter, [ADAPTER_WEIGHTS]) as checkpoint:
        adapter_tensors = checkpoint.tensors
    return Inputs(of_base.base_config, of_base.base_tensors, adapter_config, adapter_tensors)


def read_base(base: Path, *, changed: bool = True) -> Inputs:
    """Of a base alone. A quantised one is refused unless it is not to be `changed`."""
    config = _json(base / "config.json", "merge_base_missing")
    with Checkpoint.of_model(base) as checkpoint:
        tensors = checkpoint.tensors
    if changed:
        _refuse_quantised(base, config, tensors)
    return Inputs(config, tensors, {}, {})


def pissa_start(adapter: Path, config: dict[str, Any]) -> Path | None:
    """Where the first state of an adapter begun with PiSSA lies; None for any other adapter, and where it is lost."""
    begun = str(config.get("init_lora_weights")).lower().startswith("pissa") or adapter.name == PISSA_AS_TRAINED
    if not begun or adapter.name == PISSA_INITIAL:
        return None
    places = (adapter / PISSA_INITIAL, adapter.parent / PISSA_INITIAL)
    return next((place for place in places if (place / ADAPTER_WEIGHTS).is_file()), None)


def pissa_is_exact(config: dict[str, Any]) -> bool:
    """Whether an adapter began with the exact singular values of its base, which can be worked out again."""
    return str(config.get("init_lora_weights")).lower() == "pissa"


def stored_dtype(dtype: str | None) -> str | None:
    """The safetensors name of a torch dtype's name; None stays None. Raises ConfigError for any other type."""
    if dtype is None:
        return None
    name = dtype.removeprefix("torch.")
    if name not in DTYPES:
        raise ConfigError(Problem("merge_dtype", {"dtype": dtype}, key="infer_dtype"))
    return DTYPES[name]


def _json(path: Path, missing: str) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(Problem(missing, {"folder": str(path.parent), "name": path.name})) from None
    except ValueError as error:
        raise ConfigError(Problem("merge_file_damaged", {"name": str(path), "reason": str(error)})) from error
    if not isinstance(raw, dict):
        raise ConfigError(
            Problem("merge_file_damaged", {"name": str(path), "reason": Phrase("it holds no JSON object")})
        )
    return raw


def _refuse_quantised(base: Path, config: dict[str, Any], tensors: dict[str, Stored]) -> None:
    quantisation = config.get("quantization_config") or config.get("compression_config")
    method = quantisation.get("quant_method", "unknown method") if isinstance(quantisation, dict) else None
    packed = next((t.dtype for t in tensors.values() if len(t.shape) >= 2 and t.dtype not in FLOATS), None)
    if method or packed:
        raise ConfigError(Problem("merge_base_quantised", {"folder": str(base), "method": str(method or packed)}))


def _refuse_unmergeable(config: dict[str, Any]) -> None:
    kind = str(config.get("peft_type"))
    if kind in _NOT_WEIGHTS:
        raise ConfigError(Problem("merge_adapter_kind", {"kind": kind}))
    init = config.get("init_lora_weights")
    if isinstance(init, str) and init.lower().split("_niter")[0] in _CHANGED_BASE:
        raise ConfigError(Problem("merge_adapter_changed_base", {"init": init}))
