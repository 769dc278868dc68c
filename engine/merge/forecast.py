"""What a merge will write and need, from headers and JSON alone: no torch, so that --dry-run stays quick."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.config.schema import MergeConfig
from engine.errors import EnvironmentProblem, Problem
from engine.merge.inputs import Inputs, pissa_is_exact, pissa_start, read_base, read_inputs, stored_dtype
from engine.merge.layout import file_bytes, shard
from engine.merge.safetensors_io import FLOATS, Slot
from engine.merge.vocabulary import grown_vocabulary
from engine.storage import free_bytes

IMPORTS_BYTES = 400 << 20  # torch, transformers and peft before any weight is read, measured
BLOCK_BYTES = 8 << 20  # buffers of one streaming thread
BITSANDBYTES_BYTES = 100 << 20
DEQUANTISE_BYTES = 100 << 20  # temporaries of a chunk
SMALL_FILES_BYTES = 32 << 20  # tokenizer, configuration, chat template; large vocabularies take about 20 MB
MAX_SHARD_BYTES = 5 * 10**9


@dataclass(frozen=True)
class Forecast:
    """Bytes, but for `shards`, files, and `tensors`, 0 where they are not known. `memory_peak` is anonymous memory of
    the merge, imports included."""

    bytes_out: int
    shards: int
    disk_needed: int
    disk_free: int
    memory_peak: int
    tensors: int = 0


def forecast(
    base: Path,
    adapter: Path | None,
    out: Path,
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    dtype: str | None = None,
    quantised: bool = False,
    free: Callable[[Path], int] = free_bytes,
) -> Forecast:
    """Forecast the merge of `adapter` into `base` (None: the base as it is) written to `out`.

    `quantised`: onto dequantised weights. `free` tells the free bytes at a folder. An adapter
    that touches a tied embedding or head is counted as untying them, which adds one tensor.
    Raises ConfigError when the inputs cannot be merged at all (see `engine.merge.inputs`).
    """
    inputs = read_inputs(base, adapter, convertible=True) if adapter else read_base(base, changed=dtype is not None)
    slots = list(_slots(inputs, stored_dtype(dtype)))
    shards = shard(slots, max_shard_bytes)
    written = file_bytes(shards)
    adapter_bytes = sum(4 * t.nbytes // {"F32": 4, "F64": 8}.get(t.dtype, 2) for t in inputs.adapter_tensors.values())
    begun = adapter and pissa_start(adapter, inputs.adapter_config)
    exact = pissa_is_exact(inputs.adapter_config) and not begun
    if begun or exact:
        adapter_bytes *= 4  # read, and twice the rank in place
    threads = min(os.cpu_count() or 1, 4)
    memory = IMPORTS_BYTES + adapter_bytes + threads * BLOCK_BYTES
    largest = max(replace(slot, dtype="F32").nbytes for slot in slots)
    if adapter and not inputs.plain_lora:
        # peft merges a module at a time on a 32-bit copy, with temporaries of the same size
        memory += 4 * largest
    if exact:
        memory += 5 * largest  # a matrix with its singular vectors and as much to work on
    if quantised:
        memory += BITSANDBYTES_BYTES + threads * (DEQUANTISE_BYTES + 2 * largest)  # as stored, packed, and in 32 bits
    return Forecast(written, len(shards), written + SMALL_FILES_BYTES, free(out.parent), memory, len(slots))


def forecast_all(
    config: MergeConfig, base: Path, adapters: list[Path], free: Callable[[Path], int] = free_bytes
) -> Forecast:
    """Forecast what a merge config does. Several adapters have their steps on the disk, in 32 bits, two at once."""
    out = Path(config.export_dir)
    asked: dict[str, Any] = {"max_shard_bytes": config.shard_bytes, "dtype": config.dtype, "free": free}
    each = [forecast(base, adapter, out, quantised=config.dequantise, **asked) for adapter in (adapters or (None,))]
    needed = each[-1].disk_needed + steps_bytes(config, base, adapters)
    return replace(each[-1], disk_needed=needed, memory_peak=max(one.memory_peak for one in each))


def steps_bytes(config: MergeConfig, base: Path, adapters: list[Path]) -> int:
    """Bytes on disk of what lies between several adapters: the step before and the one that is made of it."""
    if len(adapters) < 2:
        return 0
    out = Path(config.export_dir)
    return min(2, len(adapters) - 1) * max(forecast(base, one, out, dtype="float32").bytes_out for one in adapters)


def check_disk(expected: Forecast, out: Path) -> None:
    """Raises EnvironmentProblem `merge_disk_full` when the merged model will not fit beside `out`."""
    if expected.disk_needed > expected.disk_free:
        params = {
            "folder": str(out.parent),
            "needed_gb": round(expected.disk_needed / 1e9, 2),
            "free_gb": round(expected.disk_free / 1e9, 2),
        }
        raise EnvironmentProblem(Problem("merge_disk_full", params))


def _slots(inputs: Inputs, dtype: str | None) -> Iterator[Slot]:
    grown, rows = grown_vocabulary(inputs) or (set(), 0)
    for tensor in inputs.base_tensors.values():
        shape = (rows, *tensor.shape[1:]) if tensor.name in grown else tensor.shape
        yield Slot(tensor.name, dtype if dtype and tensor.dtype in FLOATS else tensor.dtype, shape)
    embeddings = [t for n, t in inputs.base_tensors.items() if n.endswith(("embed_tokens.weight", "wte.weight"))]
    stored_head = any(name.endswith("lm_head.weight") for name in inputs.base_tensors)
    touched = any(part in name for name in inputs.adapter_tensors for part in (".lm_head.", ".embed_tokens.", ".wte."))
    if embeddings and touched and not stored_head:
        shape = (rows or embeddings[0].shape[0], *embeddings[0].shape[1:])
        yield Slot("lm_head.weight", dtype or embeddings[0].dtype, shape)
