"""Merged files against base and adapter, tensor by tensor."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch

from engine.merge.arithmetic import low_rank_factors
from engine.merge.plan import Copies, Plan, Stream, Unit
from engine.merge.safetensors_io import INDEX, Checkpoint
from engine.merge.tensors import TORCH_DTYPE, Rows, read_tensor
from engine.merge.write import merged_unit
from engine.text import Phrase

_COMPARE_BYTES = 1 << 20
_WHOLE_BYTES = 8 << 30  # touched weights up to here are checked in full, beyond it an even spread of their blocks
_MAX_THREADS = 4
_NOT_ROUNDED_ONCE = Phrase("it is not base + change, rounded once")


@dataclass
class TensorCheck:
    """`wrong`: (tensor, what is wrong with it). `changes`: whether the adapter moves any weight at all."""

    checked: int = 0
    wrong: list[tuple[str, Phrase]] = field(default_factory=list)
    changes: bool = False


def check_tensors(base: Checkpoint, out: Checkpoint, plan: Copies) -> TensorCheck:
    """Check headers and index against the plan, tensors that the adapter leaves alone byte by byte, and merged ones
    against base + change worked out anew in fp32: each must lie within half a unit in its last place.
    """
    result = TensorCheck(wrong=list(_headers(out, plan)))
    if result.wrong:
        return result
    touched = sum(out.tensors[stream.name].nbytes for stream in plan.streams if stream.layer is not None)
    stride = 1 + touched // _WHOLE_BYTES
    count = min(_MAX_THREADS, os.cpu_count() or 1)
    threads = torch.get_num_threads()

    def run(jobs: list[Stream]) -> list[tuple[str, Phrase]]:
        torch.set_num_threads(1)
        one, other = Rows(), Rows()
        return [(job.name, reason) for job in jobs if (reason := _stream(base, out, job, one, other, stride))]

    try:
        with ThreadPoolExecutor(count, thread_name_prefix="check") as pool:
            for wrong in pool.map(run, [plan.streams[i::count] for i in range(count)]):
                result.wrong += wrong
    finally:
        torch.set_num_threads(threads)
    result.checked += len(plan.streams)
    result.changes = any(_moves(stream.layer) for stream in plan.streams if stream.layer is not None)
    if isinstance(plan, Plan):
        _touched_modules(base, out, plan, result)
    return result


def _touched_modules(base: Checkpoint, out: Checkpoint, plan: Plan, result: TensorCheck) -> None:
    for name, tensor in plan.replaced.items():
        _compare(name, read_tensor(out, name), tensor, result)
        result.changes |= not torch.equal(read_tensor(base, _source(base, plan, name)).float(), tensor.float())
    size = sum(
        out.tensors[n].nbytes for unit in plan.units for p in unit.parameters.values() for n in plan.output_names(p)
    )
    for unit in plan.units[:: 1 + size // _WHOLE_BYTES]:
        _unit(base, out, plan, unit, result)


def _headers(out: Checkpoint, plan: Copies) -> Iterator[tuple[str, Phrase]]:
    expected = {slot.name: slot for slot in plan.slots}
    for name in sorted(expected.keys() - out.tensors.keys()):
        yield name, Phrase("missing")
    for name in sorted(out.tensors.keys() - expected.keys()):
        yield name, Phrase("unexpected")
    for name in sorted(expected.keys() & out.tensors.keys()):
        slot, stored = expected[name], out.tensors[name]
        if (slot.dtype, slot.shape) != (stored.dtype, stored.shape):
            there, wanted = (f"{one.dtype} {list(one.shape)}" for one in (stored, slot))
            yield name, Phrase("{found} instead of {expected}", {"found": there, "expected": wanted})
    if plan.untied and json.loads((out.folder / "config.json").read_bytes()).get("tie_word_embeddings") is not False:
        # transformers notices, other engines do not
        yield "config.json", Phrase("it ties an embedding and a head that differ")
    index = out.folder / INDEX
    if index.is_file():
        listed = json.loads(index.read_bytes())["weight_map"]
        elsewhere = Phrase("listed under another file")
        yield from ((n, elsewhere) for n, s in out.tensors.items() if listed.get(n) != s.file)


def _stream(base: Checkpoint, out: Checkpoint, job: Stream, one: Rows, other: Rows, stride: int) -> Phrase | None:
    if job.layer is not None:
        return _low_rank(base, out, job, one, other, stride)
    if base.tensors[job.source].dtype == out.tensors[job.name].dtype:
        size = out.tensors[job.name].nbytes
        blocks = range(0, size, _COMPARE_BYTES)
        same = all(base.read(job.source, at, _COMPARE_BYTES) == out.read(job.name, at, _COMPARE_BYTES) for at in blocks)
    else:
        merged = read_tensor(out, job.name)
        same = torch.equal(read_tensor(base, job.source).to(merged.dtype), merged)
    return None if same else Phrase("it differs from the base although the adapter does not touch it")


@torch.no_grad()
def _low_rank(base: Checkpoint, out: Checkpoint, job: Stream, one: Rows, other: Rows, stride: int) -> Phrase | None:
    a, b, scaling = low_rank_factors(job.layer)
    scaled = b * scaling
    rows, columns = base.tensors[job.source].shape
    dtype = TORCH_DTYPE[out.tensors[job.name].dtype]
    blocks = one.split(rows, columns)
    for first in blocks[::stride]:
        count = min(blocks.step, rows - first)
        expected = one.load(base, job.source, first, count).addmm_(scaled[first : first + count], a)
        if not _within_rounding(other.load(out, job.name, first, count), expected, dtype):
            return _NOT_ROUNDED_ONCE
    return None


def _within_rounding(merged: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether |merged - expected| is at most half a unit in the last place of `dtype`, plus what the order of fp32
    sums can do (1e-6 of the largest value). Overwrites both tensors.
    """
    kind = torch.finfo(dtype)
    distance = merged.sub_(expected).abs_()
    allowed = expected.abs_()
    slack = 1e-6 * allowed.max().item() + kind.smallest_normal * kind.eps / 2
    return bool(distance.sub_(allowed.mul_(kind.eps / 2).add_(slack)).max().item() <= 0)  # false for NaN too


def _moves(layer: Any) -> bool:
    a, b, scaling = low_rank_factors(layer)
    return scaling != 0 and bool(a.any()) and bool(b.any())


def _unit(base: Checkpoint, out: Checkpoint, plan: Plan, unit: Unit, result: TensorCheck) -> None:
    for name, expected in merged_unit(base, plan, unit).items():
        merged = read_tensor(out, name)
        _compare(name, merged, expected, result)
        source = _source(base, plan, name)
        result.changes = result.changes or not torch.equal(read_tensor(base, source).float(), expected.float())


def _source(base: Checkpoint, plan: Plan, name: str) -> str:
    """The base's tensor that an output tensor stands for."""
    return name if name in base.tensors else plan.output_names(plan.source[name])[0]


def _compare(name: str, merged: torch.Tensor, expected: torch.Tensor, result: TensorCheck) -> None:
    result.checked += 1
    if not _within_rounding(merged.float(), expected.float().clone(), merged.dtype):
        result.wrong.append((name, _NOT_ROUNDED_ONCE))
