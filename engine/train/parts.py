"""finetuning_type full and freeze: which of the model's own parameters learn."""

from __future__ import annotations

import re

import torch

from engine.config.schema import TrainConfig, names
from engine.errors import ConfigError, Problem


def choose_trainable(model: torch.nn.Module, config: TrainConfig) -> list[str]:
    """Switch gradients on for what learns and off for the rest; returns what was chosen, `all` for everything.

    Raises ConfigError with the names there are: freeze_module_unknown; freeze_impossible.
    """
    if config.finetuning_type == "full":
        model.requires_grad_(True)
        return ["all"]
    chosen = _chosen_parts(model, config)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in chosen))
    return chosen


def _chosen_parts(model: torch.nn.Module, config: TrainConfig) -> list[str]:
    """Parts of parameter names, by LLaMA-Factory's rules: `.21.mlp`, `.21.` for a whole layer, `embed_tokens`.

    An extra module counts wherever its name occurs: `norm` is also in every `input_layernorm`.
    """
    text = model.config.get_text_config()
    layers = getattr(text, "num_hidden_layers", None)
    if not layers:
        raise ConfigError(Problem("freeze_impossible", {}, "finetuning_type"))
    count = config.freeze_trainable_layers
    learning = range(max(0, layers - count), layers) if count > 0 else range(min(-count, layers))
    in_layers, outside = set(), set()
    for name, _ in model.named_parameters():
        for first in (".0.", ".1."):
            if first in name:
                in_layers.add(name.rpartition(first)[2].partition(".")[0])
                break
        if not re.search(r"\.\d+\.", name):
            outside.add(name.split(".")[-2])
    parts = []
    for wanted in names(config.freeze_trainable_modules):
        if wanted != "all":
            _known(wanted, in_layers, "freeze_trainable_modules", "all")
        parts += [f".{index}.{'' if wanted == 'all' else wanted}" for index in learning]
    for wanted in names(config.freeze_extra_modules):
        _known(wanted, outside, "freeze_extra_modules")
        parts.append(wanted)
    return parts


def _known(wanted: str, there: set[str], key: str, *more: str) -> None:
    if wanted not in there:
        choices = ", ".join([*more, *sorted(there)])
        raise ConfigError(Problem("freeze_module_unknown", {"name": wanted, "choices": choices, "key": key}, key))
