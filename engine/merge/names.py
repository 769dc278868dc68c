"""Checkpoint names and module names: transformers' own conversion tables, asked about one model.

A checkpoint tensor either is one parameter of the model under the same or another name, or it is a part of a fused one
(stacked experts, chunked or transposed weights), which transformers' converters build and take apart again.
`rename_source_key` and `get_model_conversion_mapping` are not documented API; peft uses them, and tests guard them.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
    revert_weight_conversion,
)

from engine.merge.safetensors_io import Checkpoint
from engine.merge.tensors import read_tensor


class NotStreamableError(Exception):
    """The names of this model cannot be followed tensor by tensor; the message says where."""


@dataclass
class Fused:
    """The checkpoint tensors of one converted parameter with the converter patterns they matched."""

    converter: Any
    parts: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class NameMap:
    """`keys`: {parameter: checkpoint tensors it comes from}; `fused`: those that a converter builds."""

    model: Any
    keys: dict[str, list[str]]
    fused: dict[str, Fused]

    def key(self, parameter: str) -> str | None:
        """The checkpoint tensor that is this parameter, None where there is none."""
        found = self.keys.get(parameter)
        return found[0] if found else None

    def read(self, checkpoint: Checkpoint, parameter: str) -> torch.Tensor:
        """The parameter as the model holds it, in the checkpoint's dtype."""
        if parameter not in self.fused:
            return read_tensor(checkpoint, self.keys[parameter][0])
        fused = self.fused[parameter]
        converter = deepcopy(fused.converter)
        for key, pattern in sorted(fused.parts, key=lambda part: dot_natural_key(part[0])):
            converter.add_tensor(parameter, key, pattern, read_tensor(checkpoint, key))
        built = converter.convert(parameter, model=self.model, config=self.model.config)
        if parameter not in built:
            raise NotStreamableError(parameter)
        tensor = built[parameter]
        return tensor[0] if isinstance(tensor, list) else tensor

    def take_apart(self, parameter: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
        """Inverse of `read` for a fused parameter: {checkpoint tensor name: tensor}. Raises NotStreamableError."""
        try:
            parts = revert_weight_conversion(self.model, {parameter: tensor})
        except (RuntimeError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
            raise NotStreamableError(parameter) from error
        if set(parts) != {key for key, _ in self.fused[parameter].parts}:
            raise NotStreamableError(parameter)
        return parts


def map_names(model: Any, keys: Iterable[str], shapes: dict[str, tuple[int, ...]]) -> NameMap:
    """Map checkpoint tensor names to the parameters of a model that was not wrapped yet or whose names are `shapes`."""
    mapping = get_model_conversion_mapping(model)
    renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    prefix = model.base_model_prefix
    result = NameMap(model, {}, {})
    for key in keys:
        name, pattern = rename_source_key(key, renamings, converters, prefix, shapes)
        if name not in shapes and key in shapes:  # the loader keeps such a key too
            name, pattern = key, None
        result.keys.setdefault(name, []).append(key)
        if pattern is not None:
            if name not in result.fused:
                result.fused[name] = Fused(next(c for c in converters if pattern in c.source_patterns))
            result.fused[name].parts.append((key, pattern))
    return result
