"""Adapter + base model -> merged model: planned in full, streamed in blocks, there whole or not at all."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from engine.errors import ConfigError, Problem, RunError, StopRequested
from engine.merge.arithmetic import LowRank, check_finite, merge_unit
from engine.merge.companions import copy_companions, write_config
from engine.merge.forecast import MAX_SHARD_BYTES, check_disk, forecast
from engine.merge.inputs import DTYPES, stored_dtype
from engine.merge.layout import index_json, shard, tensor_bytes
from engine.merge.names import NotStreamableError
from engine.merge.plan import Plan, Stream, Unit, make_plan
from engine.merge.safetensors_io import INDEX, ITEMSIZE, Checkpoint, OutputFiles
from engine.merge.skeleton import load_skeleton
from engine.merge.stage import staged
from engine.merge.tensors import TORCH_DTYPE, read_tensor, write_tensor
from engine.merge.whole import merge_whole
from engine.storage import free_bytes

_POLL_SECONDS = 0.05
_MAX_THREADS = 4


@dataclass
class MergeReport:
    """`tensors` written, `changed` of them by the adapter; `bytes` of tensor data; `dtype` most of them have."""

    tensors: int
    changed: int
    bytes: int
    seconds: float
    untied: bool
    dtype: str
    notes: list[Problem] = field(default_factory=list)


def merge_adapter(
    base: Path,
    adapter: Path,
    out: Path,
    *,
    tokenizer_from: Path | None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    dtype: str | None = None,
    trust_remote_code: bool = False,
    progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
    on_note: Callable[[Problem], None] = lambda note: None,
    free: Callable[[Path], int] = free_bytes,
) -> MergeReport:
    """Merge a peft adapter folder into a safetensors model folder, writing the model folder `out`.

    `dtype` (float32, bfloat16, float16) casts floating-point tensors, None keeps them as stored. `tokenizer_from` is
    the folder whose tokenizer and chat template go with the model, None takes the base's. `progress` gets bytes done
    and bytes in all, `should_stop` is polled between blocks; both are called in the caller's thread only. `on_note`
    gets notes as they arise, before the work they are about; all of them are in the report too. `free` tells the free
    bytes at a folder.

    Raises ConfigError (inputs that cannot be merged, `export_exists`), EnvironmentProblem (`merge_disk_full`),
    RunError (`merge_not_finite`, `merge_write_failed`), StopRequested; in every case `out` is as it was before.
    """
    started = time.monotonic()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(Problem("export_exists", {"folder": str(out)}, key="export_dir"))
    target = stored_dtype(dtype)
    check_disk(forecast(base, adapter, out, max_shard_bytes=max_shard_bytes, dtype=dtype, free=free), out)
    watch = _Watch(progress, should_stop)
    with Checkpoint.of_model(base) as checkpoint:
        try:
            skeleton = load_skeleton(base, adapter, trust_remote_code)
            plan = make_plan(checkpoint, skeleton, target)
            for note in plan.notes:
                on_note(note)
            report = _stream(base, checkpoint, plan, out, tokenizer_from, max_shard_bytes, dtype, watch)
        except NotStreamableError as reason:
            report = _whole(base, adapter, out, tokenizer_from, max_shard_bytes, dtype, trust_remote_code, str(reason),
                            checkpoint, watch, on_note)  # fmt: skip
    report.seconds = time.monotonic() - started
    return report


class _Watch:
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


def _stream(
    base: Path,
    checkpoint: Checkpoint,
    plan: Plan,
    out: Path,
    tokenizer_from: Path | None,
    max_shard_bytes: int,
    dtype: str | None,
    watch: _Watch,
) -> MergeReport:
    shards = shard(plan.slots, max_shard_bytes)
    watch.total = tensor_bytes(shards)
    watch.look()
    with _writing(out) as stage:
        files = OutputFiles(stage, shards)
        try:
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
        copy_companions(base, tokenizer_from, stage)
        write_config(base, stage, untied=plan.untied, dtype=dtype)
        watch.look()
    stored = Counter[str]()
    for slot in plan.slots:
        stored[slot.dtype] += slot.nbytes
    most = stored.most_common(1)[0][0]
    written = next((name for name, short in DTYPES.items() if short == most), most)
    return MergeReport(len(plan.slots), plan.changed, watch.total, 0.0, plan.untied, written, plan.notes)


@contextmanager
def _writing(out: Path) -> Iterator[Path]:
    """A stage for `out`; the disk's own errors become a problem."""
    try:
        with staged(out) as stage:
            yield stage
    except OSError as error:
        raise RunError(Problem("merge_write_failed", {"folder": str(out.parent), "reason": str(error)})) from error


def _stream_all(checkpoint: Checkpoint, streams: list[Stream], files: OutputFiles, watch: _Watch) -> None:
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
            elif files.slots[job.name].dtype == checkpoint.tensors[job.source].dtype:
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


def _merge_unit(checkpoint: Checkpoint, plan: Plan, unit: Unit, files: OutputFiles, watch: _Watch) -> None:
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
            given[inner] = plan.base_tensor(checkpoint, parameter) if carried is None else carried
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


def _whole(
    base: Path,
    adapter: Path,
    out: Path,
    tokenizer_from: Path | None,
    max_shard_bytes: int,
    dtype: str | None,
    trust_remote_code: bool,
    reason: str,
    checkpoint: Checkpoint,
    watch: _Watch,
    on_note: Callable[[Problem], None],
) -> MergeReport:
    elements = sum(stored.nbytes // ITEMSIZE[stored.dtype] for stored in checkpoint.tensors.values())
    memory_gb = round(elements * 4 / 1e9, 1)
    note = Problem("merge_whole_model", {"reason": reason, "memory_gb": memory_gb}, severity="note")
    on_note(note)
    watch.total = elements * 4
    watch.look()
    with _writing(out) as stage:
        tensors, changed, size, written = merge_whole(base, adapter, stage, max_shard_bytes, dtype, trust_remote_code)
        copy_companions(base, tokenizer_from, stage)
        watch.moved(watch.total)
        watch.look()
    return MergeReport(tensors, changed, size, 0.0, False, written, [note])
