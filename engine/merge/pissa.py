"""A PiSSA adapter as an ordinary one: what it learned is the difference to where it started."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, Problem
from engine.merge.inputs import ADAPTER_CONFIG, ADAPTER_WEIGHTS, pissa_start
from engine.storage import write_json


def ordinary(adapter: Path, target: Path) -> Path:
    """The folder of an adapter that goes onto the base as it is: `adapter` itself, or for one begun with PiSSA the
    folder `target`, where its equivalent of twice the rank is written.

    PiSSA trains B A on top of W - s B0 A0 (Meng et al. 2024, arXiv:2404.02948), so the change of W is
    s (B A - B0 A0) = s [B, -B0] [A; A0]. A0 and B0 lie in `pissa_init` beside the adapter. Where they do not, the
    adapter is returned as it is and the merge refuses it. Raises ConfigError `merge_pissa_unusual`.
    """
    config = _read(adapter)
    start = pissa_start(adapter, config)
    if start is None:
        return adapter
    _write(adapter, start, config, target)
    return target


def _write(adapter: Path, start: Path, config: dict[str, Any], target: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    now, then = load_file(adapter / ADAPTER_WEIGHTS), load_file(start / ADAPTER_WEIGHTS)
    result = {}
    for name, tensor in now.items():
        if ".lora_A." in name:
            result[name] = torch.cat([tensor.float(), then[name].float()])
        elif ".lora_B." in name:
            result[name] = torch.cat([tensor.float(), -then[name].float()], dim=1)
        elif "lora_" in name:  # DoRA's lengths and the embedding's factors are no sum of two
            raise ConfigError(Problem("merge_pissa_unusual", {"tensor": name}))
        else:
            result[name] = tensor
    target.mkdir(parents=True)
    save_file(result, target / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    root = math.sqrt(2) if config.get("use_rslora") else 2
    ranks = {name: 2 * rank for name, rank in (config.get("rank_pattern") or {}).items()}
    alphas = {name: root * alpha for name, alpha in (config.get("alpha_pattern") or {}).items()}
    changed = {"r": 2 * config["r"], "lora_alpha": root * config["lora_alpha"], "init_lora_weights": True}
    write_json(target / ADAPTER_CONFIG, config | changed | {"rank_pattern": ranks, "alpha_pattern": alphas})


def _read(adapter: Path) -> dict[str, Any]:
    try:
        found = json.loads((adapter / ADAPTER_CONFIG).read_bytes())
    except (OSError, ValueError):  # the merge says what is wrong with it
        return {}
    return found if isinstance(found, dict) else {}
