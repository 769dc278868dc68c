"""A PiSSA adapter as an ordinary one: what it learned is the difference to where it started."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from engine.errors import ConfigError, Problem
from engine.merge.inputs import ADAPTER_CONFIG, ADAPTER_WEIGHTS, pissa_is_exact, pissa_start
from engine.merge.names import map_names
from engine.merge.safetensors_io import Checkpoint
from engine.merge.skeleton import empty_model
from engine.storage import write_json

_PREFIX, _A = "base_model.model.", ".lora_A.weight"

Tensors = dict[str, torch.Tensor]


def ordinary(adapter: Path, target: Path, base: Path, trust_remote_code: bool = False) -> Path:
    """The folder of an adapter that goes onto `base` as it is: `adapter` itself, or for one begun with PiSSA the folder
    `target`, where its equivalent of twice the rank is written.

    PiSSA trains B A on top of W - s B0 A0 (Meng et al. 2024, arXiv:2404.02948), so the change of W is
    s (B A - B0 A0) = s [B, -B0] [A; A0]. A0 and B0 are those of `pissa_init` beside the adapter, else the largest
    singular values of the base where the adapter was begun with the exact ones. Where neither is there, the adapter
    is returned as it is and the merge refuses it. Raises ConfigError `merge_pissa_unusual`.
    """
    config = _read(adapter)
    kept, exact = pissa_start(adapter, config), pissa_is_exact(config)
    if kept is None and not exact:
        return adapter
    now = load_file(adapter / ADAPTER_WEIGHTS)
    for name in now:
        # DoRA's lengths and the embedding's factors are no sum of two
        if "lora_" in name and not name.endswith((_A, ".lora_B.weight")):
            raise ConfigError(Problem("merge_pissa_unusual", {"tensor": name}))
    then = load_file(kept / ADAPTER_WEIGHTS) if kept else _from_base(now, config, base, trust_remote_code)
    target.mkdir(parents=True)
    save_file(_difference(now, then), target / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    root = math.sqrt(2) if config.get("use_rslora") else 2
    ranks = {name: 2 * rank for name, rank in (config.get("rank_pattern") or {}).items()}
    alphas = {name: root * alpha for name, alpha in (config.get("alpha_pattern") or {}).items()}
    changed = {"r": 2 * config["r"], "lora_alpha": root * config["lora_alpha"], "init_lora_weights": True}
    write_json(target / ADAPTER_CONFIG, config | changed | {"rank_pattern": ranks, "alpha_pattern": alphas})
    return target


def _difference(now: Tensors, then: Tensors) -> Tensors:
    result = {}
    for name, tensor in now.items():
        if name.endswith(_A):
            result[name] = torch.cat([tensor.float(), then[name].float()])
        elif "lora_" in name:
            result[name] = torch.cat([tensor.float(), -then[name].float()], dim=1)
        else:
            result[name] = tensor
    return result


@torch.no_grad()
def _from_base(now: Tensors, config: dict[str, Any], base: Path, trust_remote_code: bool) -> Tensors:
    """A0 and B0 of every layer, one at a time, as peft's start makes them."""
    model = empty_model(base, trust_remote_code)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    then: Tensors = {}
    with Checkpoint.of_model(base) as checkpoint:
        names = map_names(model, checkpoint.tensors, shapes)
        for name in [name for name in now if name.endswith(_A)]:
            parameter = f"{name.removeprefix(_PREFIX).removesuffix(_A)}.weight"
            if parameter not in names.keys or config.get("rank_pattern") or config.get("alpha_pattern"):
                raise ConfigError(Problem("merge_pissa_unusual", {"tensor": name}))
            rank = now[name].shape[0]
            scaling = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
            left, values, right = torch.linalg.svd(names.read(checkpoint, parameter).float(), full_matrices=False)
            root = (values[:rank] / scaling).sqrt()
            then[name] = root[:, None] * right[:rank]
            then[name.replace(".lora_A.", ".lora_B.")] = left[:, :rank] * root
    return then


def _read(adapter: Path) -> dict[str, Any]:
    try:
        found = json.loads((adapter / ADAPTER_CONFIG).read_bytes())
    except (OSError, ValueError):  # the merge says what is wrong with it
        return {}
    return found if isinstance(found, dict) else {}
