"""Filling the files of a planned model: bytes copied, rows streamed, modules merged."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import torch

from engine.errors import ConfigError, Problem, StopRequested
from engine.merge.arithmetic import LowRank, check_finite, merge_unit
from engine.merge.layout import index_json, shard, tensor_bytes
from engine.merge.plan import Copies, Plan, Stream, Unit
from engine.merge.safetensors_io import INDEX, Checkpoint, OutputFiles
from engine.merge.tensors import TORCH_DTYPE, read_tensor, write_tensor

_POLL_SECONDS = 0.05
_MAX_THREADS = 4


class Watch:
    """Counts bytes from any thread; tells the caller, and asks whether to stop, in the caller's thread."""

    def __init__(self, progress: Callable[[int, int], None], should_stop: Callable[[], bool]):
        self._progress = progress
        self._should_stop = should_stop
        self._lock = threading.Lock()
        self._done = 0
        self._stopped = False
        self.total = 0

    def moved(self, count: int) -> None:
        """Called between blocks, from any thread. Raises StopRequested once a stop was seen."""
        with self._lock:
            self._done += count
        if self._stopped:
            raise StopRequested

    def look(self) -> None:
        """Called in the caller's thread. Raises StopRequested when a stop is asked for."""
        self._progress(self._done, self.total)
        if self._should_stop():
            self._stopped = True
            raise StopRequested

    def abort(self) -> None:
        """Make the other threads end at their next block."""
        self._stopped = True


def write_weights(stage: Path, checkpoint: Checkpoint, plan: Copies, max_shard_bytes: int, watch: Watch) -> int:
    """Write all weights of the plan, and the index of several files, into the folder `stage`.

    Returns the bytes of tensor data. Raises RunError `merge_not_finite`, StopRequested.
    """
    shards = shard(plan.slots, max_shard_bytes)
    watch.total = tensor_bytes(shards)
    watch.look()
    files = OutputFiles(stage, shards)
    try:
        if isinstance(plan, Plan):
            for name, tensor in plan.replaced.items():
                check_finite(name, tensor, TORCH_DTYPE[files.slots[name].dtype])
                write_tensor(files, name, tensor)
                watch.moved(files.slots[name].nbytes)
            for unit in plan.units:
                _merge_unit(checkpoint, plan, unit, files, watch)
                watch.look()
        _stream_all(checkpoint, plan.streams, files, watch)
        files.close()
    finally:
        files.abandon()
    if len(shards) > 1:
        (stage / INDEX).write_text(index_json(shards), encoding="utf-8")
    return watch.total


def _stream_all(checkpoint: Checkpoint, streams: list[Stream], files: OutputFiles, watch: Watch) -> None:
    """Threads work on different files where there are enough, since filesystems lock a file for a write; torch keeps
    to one thread in each, because OpenMP's barriers cost more than small blocks gain.
    """
    count = min(_MAX_THREADS, os.cpu_count() or 1)
    by_file: dict[str, list[Stream]] = {}
    for stream in streams:
        by_file.setdefault(files.slots[stream.name].file, []).append(stream)
    parts = list(by_file.values()) if len(by_file) >= count else [streams[i::count] for i in range(count)]

    def fill(jobs: list[Stream]) -> None:
        torch.set_num_threads(1)
        low_rank = LowRank()
        for job in jobs:
            if job.layer is not None:
                low_rank(checkpoint, job.source, files, job.name, job.layer, watch.moved)
            elif (
                checkpoint.verbatim(job.source) and files.slots[job.name].dtype == checkpoint.tensors[job.source].dtype
            ):
                files.copy(job.name, checkpoint, job.source, watch.moved)
            else:
                _cast(checkpoint, job, files)
                watch.moved(files.slots[job.name].nbytes)

    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(count, thread_name_prefix="merge") as pool:
            waiting = {pool.submit(fill, jobs) for jobs in parts}
            try:
                while waiting:
                    done, waiting = wait(waiting, timeout=_POLL_SECONDS, return_when=FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    watch.look()
            except BaseException:
                watch.abort()
                for future in waiting:
                    future.cancel()
                raise
    finally:
        torch.set_num_threads(threads)


def _cast(checkpoint: Checkpoint, job: Stream, files: OutputFiles) -> None:
    tensor = read_tensor(checkpoint, job.source)
    dtype = TORCH_DTYPE[files.slots[job.name].dtype]
    if dtype == torch.float16:
        check_finite(job.name, tensor.float(), dtype)
    write_tensor(files, job.name, tensor)


def _merge_unit(checkpoint: Checkpoint, plan: Plan, unit: Unit, files: OutputFiles, watch: Watch) -> None:
    for name, tensor in merged_unit(checkpoint, plan, unit).items():
        check_finite(name, tensor, TORCH_DTYPE[files.slots[name].dtype])
        write_tensor(files, name, tensor)
        watch.moved(files.slots[name].nbytes)


def merged_unit(checkpoint: Checkpoint, plan: Plan, unit: Unit) -> dict[str, torch.Tensor]:
    """{checkpoint name: merged fp32 tensor} of one wrapped module.

    Raises NotStreamableError, and ConfigError where peft knows no merge for this layer.
    """
    names = plan.names
    given = {}
    if not hasattr(unit.layer, "modules_to_save"):  # that one brings its tensors along
        for inner, parameter in unit.parameters.items():
            carried = plan.carried.get(parameter)
            # peft adds to it in place, and the proof computes with the one in the model
            given[inner] = plan.base_tensor(checkpoint, parameter) if carried is None else carried.clone()
    try:
        merged = merge_unit(unit.layer, given)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:  # what peft raises for "cannot merge"
        raise ConfigError(Problem("merge_adapter_unusable", {"reason": f"{unit.name}: {error}"})) from error
    result: dict[str, torch.Tensor] = {}
    for inner, parameter in unit.parameters.items():
        if parameter in names.fused:
            result.update(names.take_apart(parameter, merged.pop(inner)))
        else:
            result[plan.output_names(parameter)[0]] = merged.pop(inner)
    return result
