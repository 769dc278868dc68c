"""Which layers keep their activations for backward, and which compute them again there. Exact either way.

The first layers recompute: what a layer keeps lives until its own backward, and the first layers' is the last.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from engine.train.whole import is_adapter

# Non-reentrant: with an adapter the input of the first layer needs no gradient, which the other kind cannot take.
_AGAIN = partial(checkpoint, use_reentrant=False)


def layers_of(model: torch.nn.Module) -> list[GradientCheckpointingLayer]:
    """The decoder layers that can recompute one by one, first to last; none of an architecture without that class.

    Of a model that also sees or hears, those of its language part. Layers inside of layers are not listed.
    """
    base: Any = model.get_base_model() if is_adapter(model) else model
    found: list[GradientCheckpointingLayer] = []

    def walk(module: torch.nn.Module) -> None:
        for child in module.children():
            if isinstance(child, GradientCheckpointingLayer):
                found.append(child)
            else:
                walk(child)

    walk(base.get_decoder() if hasattr(base, "get_decoder") else base)
    return found


def recompute_layers(model: torch.nn.Module, count: int) -> int:
    """Let the first `count` layers of `layers_of` recompute and the others keep. Returns how many do.

    Trainer's own argument must be off: it would overwrite this. Everything else that can recompute, such as the
    layers of a frozen image encoder, does so where all layers do. An architecture whose layers cannot be told apart
    recomputes all (the answer is then `count`) or, where it cannot at all, nothing (0).
    """
    layers = layers_of(model)
    every = count >= len(layers)
    able = [module for module in model.modules() if hasattr(module, "gradient_checkpointing")]
    if not able:
        return 0
    for module in able:
        module._gradient_checkpointing_func = _AGAIN
        module.gradient_checkpointing = count > 0 and every
    for layer in layers[:count]:
        layer.gradient_checkpointing = True
    return min(count, len(layers)) if layers else count


def recomputing(model: torch.nn.Module) -> int:
    """How many layers of `layers_of` recompute now."""
    return sum(layer.gradient_checkpointing for layer in layers_of(model))
