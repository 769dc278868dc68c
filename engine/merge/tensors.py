"""Between stored bytes and torch tensors."""

from __future__ import annotations

import torch

from engine.merge.safetensors_io import Checkpoint, OutputFiles

TORCH_DTYPE = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip


def as_bytes(tensor: torch.Tensor) -> memoryview:
    """The bytes of a contiguous CPU tensor, shared with it."""
    return memoryview(tensor.view(-1).view(torch.uint8).numpy())


def read_tensor(checkpoint: Checkpoint, name: str) -> torch.Tensor:
    """A whole tensor in its stored dtype and shape."""
    stored = checkpoint.tensors[name]
    raw = torch.empty(stored.nbytes, dtype=torch.uint8)
    checkpoint.read_into(name, memoryview(raw.numpy()))
    return raw.view(TORCH_DTYPE[stored.dtype]).view(stored.shape)


def write_tensor(out: OutputFiles, name: str, tensor: torch.Tensor) -> None:
    """Cast a tensor to the slot's dtype and write all of it. Raises ValueError on another shape."""
    slot = out.slots[name]
    if tuple(tensor.shape) != slot.shape:
        raise ValueError(f"{name}: {tuple(tensor.shape)} for a tensor of {slot.shape}")
    out.write(name, as_bytes(tensor.to(TORCH_DTYPE[slot.dtype]).contiguous()))
    out.mark(name)


class Rows:
    """Walks a stored 2-d tensor in blocks of whole rows through buffers that are kept: fresh pages cost more than
    the arithmetic. One instance a thread.
    """

    def __init__(self, block_elements: int = 1 << 19):  # 2 MiB in fp32: stays in cache
        self._block = block_elements
        self._raw = torch.empty(0, dtype=torch.uint8)
        self._fp32 = torch.empty(0)

    def split(self, rows: int, columns: int) -> range:
        """First rows of the blocks of a tensor; the step is a block's number of rows."""
        return range(0, rows, max(1, self._block // max(1, columns)))

    def load(self, checkpoint: Checkpoint, name: str, first: int, count: int) -> torch.Tensor:
        """Rows `first` to `first + count` as fp32 of shape (count, columns); valid until the next call."""
        stored = checkpoint.tensors[name]
        columns, dtype = stored.shape[1], TORCH_DTYPE[stored.dtype]
        raw = self.raw(count * columns * dtype.itemsize)
        checkpoint.read_into(name, memoryview(raw.numpy()), first * columns * dtype.itemsize)
        if self._fp32.numel() < count * columns:
            self._fp32 = torch.empty(count * columns)
        return self._fp32[: count * columns].view(count, columns).copy_(raw.view(dtype).view(count, columns))

    def raw(self, size: int) -> torch.Tensor:
        """The byte buffer `load` reads into; free for other use once `load` returned."""
        if self._raw.numel() < size:
            self._raw = torch.empty(size, dtype=torch.uint8)
        return self._raw[:size]
