"""Attention that keeps the samples of a packed row apart, registered with transformers as `per_sample`.

CUDA in bf16/fp16: torch's variable-length flash attention. Elsewhere: SDPA, one sample at a time.
Without `seqlens` (evaluation with padding, generate) it is transformers' own SDPA with its own mask.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "per_sample"


@dataclass
class Row:
    """How a packed row is divided. lengths: tokens of each sample; cumulative: int32 tensor (samples + 1,)."""

    lengths: list[int]
    cumulative: torch.Tensor

    @classmethod
    def of(cls, lengths: list[int], device: torch.device) -> Row:
        """A row of samples with these lengths."""
        ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        return cls(lengths, ends.to(device))


@dataclass
class Seen:
    """What reached the kernel, so that a model that goes another way is found out."""

    calls: int = 0
    windows: set[int] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)


_packed = False
seen = Seen()


@contextlib.contextmanager
def packed_rows() -> Iterator[None]:
    """While this is open no mask is built: rows are kept apart by their lengths. Keep it open through backward."""
    global _packed
    before, _packed = _packed, True
    try:
        yield
    finally:
        _packed = before


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    row: Row | None = None,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """query (1, heads, tokens, d), key and value (1, key heads, tokens, d) → (1, tokens, heads, d).

    Position i of a sample sees j of the same sample with 0 <= i - j, and < sliding_window where there is one.
    """
    if row is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
        )
    seen.calls += 1
    seen.windows.add(sliding_window or 0)
    seen.unknown.update(name for name in ("softcap", "s_aux", "position_bias") if rest.get(name) is not None)
    if _varlen is not None and dropout == 0 and _flash(query):
        return _varlen(query, key, value, scaling, row, sliding_window), None
    outputs, start = [], 0
    grouped = query.shape[1] != key.shape[1]
    for length in row.lengths:
        part = slice(start, start + length)
        mask = _window_mask(length, sliding_window, query.device)
        outputs.append(
            F.scaled_dot_product_attention(
                query[:, :, part],
                key[:, :, part],
                value[:, :, part],
                mask,
                dropout,
                mask is None,
                scale=scaling,
                enable_gqa=grouped,
            )
        )
        start += length
    return torch.cat(outputs, 2).transpose(1, 2).contiguous(), None


def _flash(query: torch.Tensor) -> bool:
    """Whether varlen attention has a kernel for it: half precision on compute capability 8.0 or newer."""
    half = query.dtype in (torch.float16, torch.bfloat16)
    return query.is_cuda and half and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _window_mask(length: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    if not window or length <= window:
        return None
    at = torch.arange(length, device=device)
    gap = at[:, None] - at[None]
    return (gap >= 0) & (gap < window)


def _find_varlen() -> Any:
    """torch's varlen attention as one callable; its signature moved between 2.10 and 2.13. None without it."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters

    def run(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None, row: Row, window: int | None
    ) -> torch.Tensor:
        q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
        options: dict[str, Any] = {}
        if "window_size" in known:
            options["window_size"] = ((window - 1) if window else -1, 0)
        elif window and max(row.lengths) > window:
            raise RuntimeError("this torch's varlen attention has no sliding window")
        else:
            options["is_causal"] = True
        if q.shape[1] != k.shape[1]:
            if "enable_gqa" in known:
                options["enable_gqa"] = True
            else:
                k, v = (tensor.repeat_interleave(q.shape[1] // k.shape[1], 1) for tensor in (k, v))
        if scaling is not None and "scale" in known:
            options["scale"] = scaling
        elif scaling is not None:
            q = q * (scaling * q.shape[-1] ** 0.5)
        longest = max(row.lengths)
        out: torch.Tensor = varlen_attn(
            q.contiguous(), k.contiguous(), v.contiguous(), row.cumulative, row.cumulative, longest, longest, **options
        )
        return out[None]

    return run


def _mask(*args: Any, **kwargs: Any) -> torch.Tensor | None:
    return None if _packed else sdpa_mask(*args, **kwargs)


_varlen = _find_varlen()
AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, _mask)
