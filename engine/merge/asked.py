"""What a merge config asks for that takes a look at the adapters: onto which weights, and what to say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.config.schema import MergeConfig
from engine.errors import ConfigError, Problem
from engine.outputs import adapter_marker


def check_request(config: MergeConfig) -> None:
    """Raise ConfigError for what the keys rule out together."""
    if config.adapters and config.finetuning_type != "lora":
        params = {"kind": config.finetuning_type}
        raise ConfigError(Problem("merge_adapter_without_lora", params, key="adapter_name_or_path"))
    if config.dequantise and len(config.adapters) > 1:
        raise ConfigError(Problem("merge_quantisation_one", {"count": len(config.adapters)}, key="merge_onto"))


def quantisation(config: MergeConfig, adapter: Path) -> tuple[dict[str, Any] | None, list[Problem]]:
    """How the base was quantised where the adapter is to go onto dequantised weights, else None; and notes.

    Raises ConfigError `merge_quantisation_unknown`.
    """
    trained = trained_quantisation(adapter)
    given = None
    if config.quantization_bit is not None:
        given = {
            "bits": config.quantization_bit,
            "type": config.quantization_type,
            "double": config.double_quantization,
            "dtype": trained.get("dtype") if trained else None,
        }
    if not config.dequantise:
        if trained is None:
            return None, []
        return None, [Problem("merge_trained_quantised", {"bits": trained["bits"]}, severity="note")]
    used = given or trained
    if used is None:
        raise ConfigError(Problem("merge_quantisation_unknown", {"folder": str(adapter)}, key="merge_onto"))
    notes = [Problem("merge_dequantised", {"bits": used["bits"]}, severity="note")]
    if trained and given and _words(trained) != _words(given):
        params = {"given": _words(given), "trained": _words(trained)}
        notes.append(Problem("merge_quantisation_differs", params, key="quantization_bit", severity="warning"))
    return used, notes


def trained_quantisation(adapter: Path) -> dict[str, Any] | None:
    """What sft_wizard.json, which training left with the adapter, says of the base."""
    marker = adapter_marker(adapter)
    found = marker.quantization if marker else None
    return found if isinstance(found, dict) and found.get("bits") in (4, 8) else None


def kept_float32(config: MergeConfig, base: Path) -> list[Problem]:
    """A note where LLaMA-Factory would have written another type."""
    try:
        said = json.loads((base / "config.json").read_bytes())
    except (OSError, ValueError):
        return []
    dtype = said.get("dtype") or said.get("torch_dtype") or "float32"
    if config.dtype is not None or dtype != "float32" or said.get("quantization_config"):
        return []
    return [Problem("merge_kept_float32", severity="note")]


def _words(found: dict[str, Any]) -> str:
    kind = f" {found.get('type')}{', double' if found.get('double') else ''}" if found["bits"] == 4 else ""
    return f"{found['bits']} bits{kind}"
