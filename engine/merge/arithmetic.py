"""The sums: base + adapter in fp32, rounded once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from engine.errors import Problem, RunError
from engine.merge.safetensors_io import Checkpoint, OutputFiles
from engine.merge.tensors import TORCH_DTYPE, Rows, as_bytes


def low_rank_factors(layer: Any) -> tuple[torch.Tensor, torch.Tensor, float]:
    """A of shape (rank, in), B of shape (out, rank), both fp32, and the scaling of a plain LoRA layer.

    The weight changes by scaling * B @ A (Hu et al. 2021, arXiv:2106.09685, section 4.1); rsLoRA's scaling is
    alpha / sqrt(rank) (Kalajdzievski 2023, arXiv:2312.03732), which peft has already worked out.
    """
    return layer.lora_A["default"].weight, layer.lora_B["default"].weight, float(layer.scaling["default"])


class LowRank:
    """Writes base + scaling * B @ A a block of rows at a time: constant memory, one rounding. One instance a thread."""

    def __init__(self) -> None:
        self._rows = Rows()
        self._change = torch.empty(0)

    @torch.no_grad()
    def __call__(
        self, base: Checkpoint, source: str, out: OutputFiles, name: str, layer: Any, moved: Callable[[int], None]
    ) -> None:
        """Write output tensor `name` from base tensor `source`; `moved` gets each block's bytes and may raise.

        Raises RunError `merge_not_finite`.
        """
        a, b, scaling = low_rank_factors(layer)
        rows, columns = base.tensors[source].shape
        dtype = TORCH_DTYPE[out.slots[name].dtype]
        limit = torch.finfo(dtype).max
        blocks = self._rows.split(rows, columns)
        for first in blocks:
            count = min(blocks.step, rows - first)
            block = self._rows.load(base, source, first, count)
            self._add(block, b[first : first + count], a, scaling)
            low, high = torch.aminmax(block)
            if not (-limit <= low.item() and high.item() <= limit):  # false for NaN too
                raise not_finite(name, dtype)
            size = count * columns * dtype.itemsize
            rounded = self._rows.raw(size).view(dtype).view(count, columns).copy_(block)
            out.write(name, as_bytes(rounded), first * columns * dtype.itemsize)
            moved(size)
        out.mark(name)

    def _add(self, block: torch.Tensor, b: torch.Tensor, a: torch.Tensor, scaling: float) -> None:
        """In the order of peft's merge, (B @ A) * scaling and then the sum, so that the bits are the same."""
        if math.frexp(scaling)[0] == 0.5:  # a power of two: the product is exact, one call gives the same bits sooner
            block.addmm_(b, a, alpha=scaling)
            return
        if self._change.numel() < block.numel():
            self._change = torch.empty(block.numel())
        change = self._change[: block.numel()].view(block.shape)
        block.add_(torch.mm(b, a, out=change).mul_(scaling))


@torch.no_grad()
def merge_unit(layer: Any, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Let peft merge one wrapped module, by the method that merge_and_unload calls on it.

    `given`: {parameter name inside the module: base tensor}. Returns {the same names: merged fp32 tensor}; the module
    is left with its stand-ins.
    """
    inner = layer
    while hasattr(inner, "base_layer"):
        inner = inner.base_layer
    inner = getattr(inner, "original_module", inner)
    kept = []
    for name, tensor in given.items():
        path, _, leaf = name.rpartition(".")
        module = inner.get_submodule(path)
        kept.append((module, leaf, module._parameters[leaf]))
        module._parameters[leaf] = torch.nn.Parameter(tensor.float(), requires_grad=False)
    try:
        if hasattr(layer, "unload_and_optionally_merge_module"):
            merged = layer.unload_and_optionally_merge_module(merge=True, safe_merge=False, adapter_names=None)
        else:
            layer.merge()
            merged = layer.get_base_layer()
        return {name: parameter.data for name, parameter in merged.named_parameters()}
    finally:
        for module, leaf, parameter in kept:
            module._parameters[leaf] = parameter
        getattr(layer, "_caches", {}).clear()  # DoRA keeps a weight norm
        for module in layer.modules():
            if getattr(module, "merged_adapters", None):
                module.merged_adapters.clear()  # merged into tensors that are gone: the layer is as before


def check_finite(name: str, tensor: torch.Tensor, dtype: torch.dtype) -> None:
    """Raises RunError when a tensor is not finite, or will not be once rounded to `dtype`."""
    limit = torch.finfo(dtype).max if dtype.is_floating_point else math.inf
    low, high = torch.aminmax(tensor)
    if not (-limit <= low.item() and high.item() <= limit):
        raise not_finite(name, dtype)


def not_finite(name: str, dtype: torch.dtype) -> RunError:
    return RunError(Problem("merge_not_finite", {"tensor": name, "dtype": str(dtype).removeprefix("torch.")}))
