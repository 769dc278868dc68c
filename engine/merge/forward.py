"""One forward pass of a model whose weights are read from disk just before each module runs and dropped after it.

Linear layers go through kept buffers a block of rows at a time, a lookup reads only the rows it needs, so the largest
matrix never lies in memory as a whole. All arithmetic is fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from peft.utils.other import ModulesToSaveWrapper

from engine.merge.names import NameMap, NotStreamableError
from engine.merge.safetensors_io import Checkpoint
from engine.merge.skeleton import base_name, is_plain_embedding, is_plain_linear, is_stand_in
from engine.merge.tensors import TORCH_DTYPE, Rows, as_bytes

_BLOCK_ELEMENTS = 1 << 20  # 4 MiB in fp32


class Weights:
    """Where a model's parameters come from. `tied`: {parameter: the parameter it shares its tensor with}."""

    def __init__(self, checkpoint: Checkpoint, names: NameMap, tied: dict[str, str]):
        self.checkpoint = checkpoint
        self._names = names
        self._shared = tied | {source: name for name, source in tied.items() if source not in names.keys}

    def _present(self, parameter: str) -> str:
        found = parameter if parameter in self._names.keys else self._shared.get(parameter, parameter)
        if found not in self._names.keys:
            raise NotStreamableError(parameter)
        return found

    def key(self, parameter: str) -> str | None:
        """The 2-d checkpoint tensor that is the parameter as it stands; None where it needs a conversion."""
        found = self._present(parameter)
        key = self._names.keys[found][0]
        plain = found not in self._names.fused and len(self.checkpoint.tensors[key].shape) == 2
        return key if plain else None

    def read(self, parameter: str) -> torch.Tensor:
        """The whole parameter in fp32."""
        return self._names.read(self.checkpoint, self._present(parameter)).float()


@contextmanager
def attached(model: Any, units: dict[str, Any], weights: Weights) -> Iterator[None]:
    """Make `model` (wrapped by peft or not) read its stand-ins from `weights` while it runs."""
    undo: list[Callable[[], None]] = []
    rows = Rows(_BLOCK_ELEMENTS)
    special = tuple(f"{name}." for name, layer in units.items() if not _runs_leaf_by_leaf(layer))
    try:
        for name, layer in units.items():
            if not _runs_leaf_by_leaf(layer):
                entries = [entry for inner, part in layer.named_modules() for entry in _own(f"{name}.{inner}", part)]
                undo += _load_around(layer, entries, weights)
        for name, module in model.named_modules():
            own = [] if f"{name}.".startswith(special) else _own(name, module)
            if not own:
                continue
            key = weights.key(own[0][2]) if own[0][1] == "weight" else None
            if key and type(module) is torch.nn.Linear:
                module.forward = _linear(module, key, own, weights, rows)
                undo.append(partial(delattr, module, "forward"))
            elif key and isinstance(module, torch.nn.Embedding) and module.max_norm is None:
                undo += _lookup_around(module, key, weights)
            else:
                undo += _load_around(module, own, weights)
        yield
    finally:
        for action in undo:
            action()


@torch.no_grad()
def logits(model: Any, prompts: list[list[int]]) -> torch.Tensor:
    """Logits of shape (tokens of all prompts, vocabulary), fp32.

    Prompts are padded on the right; causal attention keeps the padding from reaching a real token.
    """
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([prompt + [prompt[-1]] * (width - len(prompt)) for prompt in prompts])
    real = torch.tensor([[True] * len(prompt) + [False] * (width - len(prompt)) for prompt in prompts])
    return model(input_ids=ids, use_cache=False).logits[real].float()


def largest_leaf_bytes(model: Any, units: dict[str, Any]) -> int:
    """Bytes in fp32 of the largest set of weights that `attached` holds at once, buffers of blocks aside."""
    sizes = [0]
    for layer in units.values():
        if not _runs_leaf_by_leaf(layer):
            sizes.append(sum(p.numel() for p in layer.parameters() if is_stand_in(p)))
    for module in model.modules():
        if type(module) is not torch.nn.Linear and not isinstance(module, torch.nn.Embedding):
            sizes.append(sum(p.numel() for p in module.parameters(recurse=False) if is_stand_in(p)))
    return 4 * max(sizes)


def _runs_leaf_by_leaf(layer: Any) -> bool:
    """Whether the wrapper only calls the modules inside; others (DoRA, OFT, ...) look at base weights themselves."""
    return is_plain_linear(layer) or is_plain_embedding(layer) or isinstance(layer, ModulesToSaveWrapper)


_Entry = tuple[Any, str, str]  # module, its parameter's name, the parameter's name in the base model


def _own(name: str, module: Any) -> list[_Entry]:
    """The stand-ins that a module holds itself."""
    full = base_name(f".{name}").strip(".")
    return [
        (module, leaf, f"{full}.{leaf}".removeprefix("."))
        for leaf, parameter in module._parameters.items()
        if parameter is not None and is_stand_in(parameter)
    ]


def _load_around(module: Any, entries: list[_Entry], weights: Weights) -> list[Callable[[], None]]:
    kept = [(part, leaf, part._parameters[leaf]) for part, leaf, _ in entries]

    def load(*_: Any) -> None:
        for part, leaf, parameter in entries:
            part._parameters[leaf] = torch.nn.Parameter(weights.read(parameter), requires_grad=False)

    def drop(*_: Any) -> None:
        for part, leaf, stand_in in kept:
            part._parameters[leaf] = stand_in

    hooks = [module.register_forward_pre_hook(load), module.register_forward_hook(drop)]
    return [drop, *(hook.remove for hook in hooks)]


def _lookup_around(module: Any, key: str, weights: Weights) -> list[Callable[[], None]]:
    stand_in = module._parameters["weight"]
    stored = weights.checkpoint.tensors[key]
    dtype, columns = TORCH_DTYPE[stored.dtype], stored.shape[1]

    def load(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        table = torch.empty(stored.shape)  # pages that no row is written to never exist
        row = torch.empty(columns, dtype=dtype)
        for index in inputs[0].unique().tolist():
            weights.checkpoint.read_into(key, as_bytes(row), index * columns * dtype.itemsize)
            table[index] = row
        module._parameters["weight"] = torch.nn.Parameter(table, requires_grad=False)

    def drop(*_: Any) -> None:
        module._parameters["weight"] = stand_in

    hooks = [module.register_forward_pre_hook(load), module.register_forward_hook(drop)]
    return [drop, *(hook.remove for hook in hooks)]


def _linear(
    module: Any, key: str, own: list[_Entry], weights: Weights, rows: Rows
) -> Callable[[torch.Tensor], torch.Tensor]:
    bias = next((parameter for _, leaf, parameter in own if leaf == "bias"), None)

    def forward(inputs: torch.Tensor) -> torch.Tensor:
        flat = inputs.reshape(-1, inputs.shape[-1])
        height, columns = weights.checkpoint.tensors[key].shape
        result = torch.empty(flat.shape[0], height)
        blocks = rows.split(height, columns)
        for first in blocks:
            count = min(blocks.step, height - first)
            block = rows.load(weights.checkpoint, key, first, count)
            result[:, first : first + count] = flat @ block.T
        if bias is not None:
            result += weights.read(bias)
        elif module.bias is not None:
            result += module.bias  # replaced by the adapter file
        return result.view(*inputs.shape[:-1], height)

    return forward
