"""rope_scaling: positions stretched beyond what the model was made for, as LLaMA-Factory computes it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from engine.errors import Problem
from engine.outputs import adapter_marker


def stretch_positions(model_config: Any, kind: str, cutoff_len: int) -> Problem:
    """Change `model_config` so that cutoff_len tokens fit; returns what was done, or why nothing was.

    factor = ceil(cutoff_len / positions the model knows). `model_config` is transformers 5's: rope_parameters.
    """
    text = model_config.get_text_config()
    own = getattr(text, "rope_parameters", None)
    if not own or "rope_type" not in own:
        return Problem("rope_unsupported", {"kind": kind}, "rope_scaling", severity="warning")
    known = int(own.get("original_max_position_embeddings") or text.max_position_embeddings)
    if cutoff_len <= known:
        params = {"kind": kind, "cutoff_len": cutoff_len, "positions": known}
        return Problem("rope_not_needed", params, "rope_scaling", severity="note")
    factor = float(math.ceil(cutoff_len / known))
    kept = {name: own[name] for name in ("rope_theta", "partial_rotary_factor") if name in own}
    stretched = {**kept, "rope_type": kind, "factor": factor}
    if kind != "linear":
        stretched["original_max_position_embeddings"] = known
    if kind == "llama3":
        stretched |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    text.max_position_embeddings = int(known * factor)
    text.rope_parameters = stretched
    params = {"kind": kind, "factor": factor, "before": known, "after": text.max_position_embeddings}
    return Problem("rope_stretched", params, "rope_scaling", severity="note")


def positions_of(model_config: Any, kind: str | None) -> dict[str, Any] | None:
    """What `stretch_positions` set, for sft_wizard.json: who runs the adapter needs it. None where it set nothing."""
    text = model_config.get_text_config()
    own = getattr(text, "rope_parameters", None) or {}
    if kind is None or own.get("rope_type") != kind:
        return None
    return {"max_position_embeddings": text.max_position_embeddings, "rope_parameters": dict(own)}


def stretch_as_trained(model_config: Any, adapter: Path) -> None:
    """Give `model_config` the positions that the adapter in this folder was trained with, where those are known."""
    marker = adapter_marker(adapter)
    for name, value in ((marker and marker.positions) or {}).items():
        setattr(model_config.get_text_config(), name, value)
