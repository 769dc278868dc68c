"""Fake tensors that stand for a model and its step: what they allocate is written down, nothing is computed.

Everything is on fake processor tensors, since fake CUDA tensors abort a process whose torch has no CUDA. What such a
torch cannot run enters as an autograd.Function of the same sizes: variable-length flash attention, quantised linears.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from engine.memory.unroll import Event, Phase, Place, Segment

VARLEN = "traced_varlen"


class Recorder(TorchDispatchMode):
    """Writes down which storages come and go while it is open, by the place that the step is in.

    What is there before must be made known with `ignore`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.segments: list[Segment] = []
        self.backward = False
        self._places: dict[Place, Segment] = {}
        self._live: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._count = 0
        self._next: Phase | None = None
        self.enter("before")

    def ignore(self, tensors: Any) -> None:
        """These are there all the time."""
        for tensor in tensors:
            self._live.add(tensor.untyped_storage()._cdata)

    def enter(self, phase: Phase, layer: int | None = None) -> None:
        """From here on events belong to this place."""
        place = Place(phase, layer)
        if place not in self._places:
            self._places[place] = Segment(place)
            self.segments.append(self._places[place])
        self._now = self._places[place].events

    def enter_next(self, phase: Phase) -> None:
        """From the next operation on; what goes until then still belongs to the present place."""
        self._next = phase

    def known(self, size: int) -> Callable[[], None]:
        """Something of this size comes that dispatch does not show. It goes when the answer is called."""
        number, self._count = self._count, self._count + 1
        self._now.append(Event(number, size))
        return lambda: self._now.append(Event(number, 0))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._next:
            self.enter(self._next)
            self._next = None
        if func is torch.ops.aten.logsumexp.default:  # exp(x - max), inside of it (ReduceOps.cpp, logsumexp_out_impl)
            self.known(args[0].numel() * args[0].element_size())()
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor)
        return result

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        size = storage.nbytes()
        if key in self._live or not size:
            return
        self._live.add(key)
        goes = self.known(size)

        def gone() -> None:
            self._live.discard(key)
            goes()

        weakref.finalize(storage, gone).atexit = False


def make_fake(model: torch.nn.Module) -> None:
    """Replace the meta parameters and buffers of a model, inside FakeTensorMode, by fake ones on the processor."""
    made: dict[int, torch.Tensor] = {}

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            fresh = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
            is_parameter = isinstance(tensor, torch.nn.Parameter)
            made[id(tensor)] = torch.nn.Parameter(fresh, tensor.requires_grad) if is_parameter else fresh
        return made[id(tensor)]

    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in list(table.items()):
                if tensor is not None:
                    table[name] = fake(tensor)


class _Varlen(torch.autograd.Function):
    """torch's variable-length flash attention (FlashAttention 2) by its sizes.

    It keeps q, k, v, the output and the log-sum-exp (fp32, heads x tokens). Backward makes dq, dk and dv, dq once more
    in fp32, a row sum (fp32), and with fewer key heads dk and dv for all heads first (flash_api.cpp, mha_varlen_bwd).
    """

    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        tokens, heads, _ = q.shape
        out = v.new_empty((tokens, heads, v.shape[-1]))
        sums = q.new_empty((heads, tokens), dtype=torch.float32)
        ctx.save_for_backward(q, k, v, out, sums)
        return out

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        q, k, v, _, _ = ctx.saved_tensors
        tokens, heads, width = q.shape
        upstream = upstream.contiguous()
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        padded = 32 if width <= 128 else 64
        exact = q.new_empty((tokens + 128, heads, math.ceil(width / padded) * padded), dtype=torch.float32)
        rows = q.new_empty((heads, tokens + 128), dtype=torch.float32)
        if k.shape[1] != heads:
            wide = torch.empty_like(q), torch.empty_like(q)
            del wide
        del exact, rows
        return dq, dk, dv


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """engine.train.attention's `attend` where CUDA's kernel would run."""
    q, k, v = (tensor[0].transpose(0, 1).contiguous() for tensor in (query, key, value))
    return _Varlen.apply(q, k, v)[None], None


AttentionInterface.register(VARLEN, _attend)
AttentionMaskInterface.register(VARLEN, lambda *args, **kwargs: None)


class PackedLinear(torch.nn.Linear):
    """A linear layer that bitsandbytes would hold in 4 or 8 bits, by its sizes.

    4 bits: n / 2 bytes and for each 64 weights a scale (fp32; double: a byte, and for each 256 scales one in fp32).
    8 bits: n bytes and a scale (fp32) for each output. Unpacked, in the dtype that is calculated in, it exists for
    one layer at a time in forward and in backward.
    """

    def __init__(self, layer: torch.nn.Linear, bits: int, double: bool, compute: torch.dtype):
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        self.bits, self.compute = bits, compute
        count = layer.weight.numel()
        scales = count // 64
        sizes = [scales, 4 * -(-scales // 256)] if double else [4 * scales]
        parts = [count // 2, *sizes] if bits == 4 else [count, 4 * layer.out_features]
        self.weight = torch.nn.Parameter(torch.empty(parts[0], dtype=torch.uint8, device="meta"), requires_grad=False)
        self.bias = layer.bias
        for number, size in enumerate(parts[1:]):
            self.register_buffer(f"scale_{number}", torch.empty(size, dtype=torch.uint8, device="meta"))

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 -- torch's name
        if self.bits == 8:
            return _Packed8.apply(input, self.weight, self.out_features, self.bias)
        inner = input.to(self.compute)
        bias = None if self.bias is None else self.bias.to(self.compute)
        # peft clones what a 4-bit layer gives (tuners/lora/bnb.py).
        return _Packed4.apply(inner, self.weight, self.out_features, bias).to(input.dtype).clone()


class _Packed4(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, outputs: int, bias: torch.Tensor | None
    ) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.inputs = x.shape[-1]
        return torch.nn.functional.linear(x, x.new_empty((outputs, ctx.inputs)), bias)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return upstream @ upstream.new_empty((upstream.shape[-1], ctx.inputs)), None, None, None


class _Packed8(torch.autograd.Function):
    """bitsandbytes' MatMul8bitLt: the input as fp16 and in 8 bits in passing, the input itself kept."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, outputs: int, bias: torch.Tensor | None
    ) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        half = flat.to(torch.float16)
        small = torch.empty(half.shape, dtype=torch.int8)
        scales = torch.empty(half.shape[:1], dtype=torch.float32)
        del half
        out = flat.new_empty((*x.shape[:-1], outputs))
        del small, scales
        ctx.save_for_backward(flat, weight)
        return out

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        flat, _ = ctx.saved_tensors
        unpacked = flat.new_empty((upstream.shape[-1], flat.shape[-1]))
        return upstream.to(flat.dtype) @ unpacked, None, None, None
