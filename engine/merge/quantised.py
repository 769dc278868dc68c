"""The weights that a quantised base stood for in training: quantised and dequantised again, a tensor at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch

from engine.errors import EnvironmentProblem, Problem

_CHUNK = 1 << 22  # elements; a multiple of bitsandbytes' block, so that chunks are quantised as the whole would be
_BLOCK = 64
_SCALES_BLOCK = 256
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Quantisation:
    """How bitsandbytes held a base in training. `dtype`: the type its weights had before (None: as stored)."""

    bits: Literal[4, 8]
    kind: Literal["nf4", "fp4"] = "nf4"
    double: bool = True
    dtype: str | None = None

    @classmethod
    def of(cls, marker: Mapping[str, Any]) -> Quantisation:
        """From what `as_marker` gave. Raises ValueError where it says something else."""
        bits, kind, dtype = marker.get("bits"), marker.get("type", "nf4"), marker.get("dtype")
        if bits not in (4, 8) or kind not in ("nf4", "fp4") or (dtype is not None and dtype not in _DTYPES):
            raise ValueError(f"no known quantisation: {dict(marker)}")
        return cls(
            cast(Literal[4, 8], bits), cast(Literal["nf4", "fp4"], kind), bool(marker.get("double", True)), dtype
        )

    def as_marker(self) -> dict[str, Any]:
        """For sft_wizard.json."""
        return {"bits": self.bits, "type": self.kind, "double": self.double, "dtype": self.dtype}


def require_bitsandbytes() -> None:
    """Raises EnvironmentProblem `merge_no_bitsandbytes` where it is not installed."""
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise EnvironmentProblem(Problem("merge_no_bitsandbytes", {"reason": str(error)})) from error


def quantised_modules(folder: Path, quantisation: Quantisation, trust_remote_code: bool) -> set[str]:
    """Names of the linear layers of a folder's model that transformers would have bitsandbytes quantise.

    Raises ConfigError `merge_model_unknown`, EnvironmentProblem `merge_no_bitsandbytes`.
    """
    require_bitsandbytes()
    from bitsandbytes.nn.modules import Linear4bit, Linear8bitLt
    from transformers import BitsAndBytesConfig
    from transformers.quantizers.auto import AutoHfQuantizer

    from engine.merge.skeleton import empty_model

    four = quantisation.bits == 4
    asked = BitsAndBytesConfig(load_in_4bit=four, load_in_8bit=not four)
    quantizer: Any = AutoHfQuantizer.from_config(asked, pre_quantized=False)
    model = empty_model(folder, trust_remote_code, on_meta=True)
    quantizer.preprocess_model(model=model, device_map={"": "cpu"})
    return {name for name, module in model.named_modules() if isinstance(module, Linear4bit | Linear8bitLt)}


@torch.no_grad()
def dequantised(weight: torch.Tensor, quantisation: Quantisation) -> torch.Tensor:
    """What a quantised `weight` of shape (out, in) computes with: the same shape, fp32.

    4 bits: blockwise nf4 or fp4 of 64, the scales in blocks of 256 where they were quantised too (Dettmers et al. 2023,
    arXiv:2305.14314), rounded to the type of computing as bitsandbytes does. 8 bits: one scale a row of the fp16
    weight (Dettmers et al. 2022, arXiv:2208.07339).
    """
    if quantisation.dtype is not None:
        weight = weight.to(_DTYPES[quantisation.dtype])
    return _eight(weight) if quantisation.bits == 8 else _four(weight, quantisation)


def _eight(weight: torch.Tensor) -> torch.Tensor:
    from bitsandbytes import functional

    result = torch.empty(weight.shape)
    step = max(1, _CHUNK // weight.shape[1])
    for first in range(0, weight.shape[0], step):
        rows, scales, _ = functional.int8_vectorwise_quant(weight[first : first + step].to(torch.float16))
        result[first : first + step] = functional.int8_vectorwise_dequant(rows, scales)
    return result


def _four(weight: torch.Tensor, quantisation: Quantisation) -> torch.Tensor:
    """A chunk at a time: bitsandbytes' temporaries take some 20 bytes an element."""
    from bitsandbytes import functional

    flat = weight.contiguous().view(-1)
    held = [
        functional.quantize_4bit(part, blocksize=_BLOCK, quant_type=quantisation.kind) for part in flat.split(_CHUNK)
    ]
    scales = torch.cat([state.absmax for _, state in held])
    if quantisation.double:
        offset = scales.mean()
        small, state = functional.quantize_blockwise(scales - offset, blocksize=_SCALES_BLOCK)
        scales = functional.dequantize_blockwise(small, state).float() + offset
    result = torch.empty(flat.shape)
    for number, (codes, state) in enumerate(held):
        state.absmax = scales[number * _CHUNK // _BLOCK :][: len(state.absmax)]
        part = result[number * _CHUNK :][: state.shape[0]]
        part.copy_(functional.dequantize_4bit(codes, state).view(-1))
    return result.view(weight.shape)
