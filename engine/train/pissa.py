"""pissa_convert: a PiSSA adapter, which needs the base that its start changed, as an ordinary LoRA of twice the rank.

LLaMA-Factory's folders: pissa_init (the adapter before the first step), pissa_backup (after the last), pissa_converted.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

INIT, BACKUP, CONVERTED = "pissa_init", "pissa_backup", "pissa_converted"
_WEIGHTS = "adapter_model.safetensors"


def save_start(model: Any, output: Path) -> None:
    """Write the adapter as it starts. A run that is resumed keeps what its beginning wrote."""
    if not (output / INIT / _WEIGHTS).exists():
        _save(model, output / INIT)


def convert(model: Any, output: Path) -> Path:
    """Write pissa_backup and pissa_converted; returns the latter. Needs what `save_start` wrote.

    W = W_res + s B0 A0 at the start and W_res + s B A at the end: the difference is s [B, -B0] [A; A0]. Twice the rank
    under an unchanged s: alpha is doubled, or times sqrt(2) for rsLoRA, whose s is alpha / sqrt(rank).
    """
    _save(model, output / BACKUP)
    start, end = (load_file(output / folder / _WEIGHTS) for folder in (INIT, BACKUP))
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in end.items():
        if "lora_A" in name:
            tensor = torch.cat([tensor, start[name]], dim=0)
        elif "lora_B" in name:
            tensor = torch.cat([tensor, -start[name]], dim=1)
        tensors[name] = tensor.contiguous()
    config = copy.deepcopy(model.peft_config["default"])
    config.init_lora_weights = True
    config.r *= 2
    config.lora_alpha *= math.sqrt(2) if config.use_rslora else 2
    config.inference_mode = True
    folder = output / CONVERTED
    config.save_pretrained(str(folder))
    save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
    return folder


def _save(model: Any, folder: Path) -> None:
    """The adapter as peft writes it, said to start like any other."""
    config = model.peft_config["default"]
    start, config.init_lora_weights = config.init_lora_weights, True
    try:
        model.save_pretrained(str(folder))
    finally:
        config.init_lora_weights = start
