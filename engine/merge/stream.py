"""Adapter + base model -> merged model: planned in full, streamed in blocks, there whole or not at all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import ConfigError, Problem, RunError
from engine.merge.base import Base, open_base
from engine.merge.companions import copy_companions, write_config
from engine.merge.forecast import MAX_SHARD_BYTES, check_disk, forecast
from engine.merge.inputs import DTYPES, stored_dtype
from engine.merge.names import NotStreamableError
from engine.merge.plan import Copies, make_plan, plan_copies
from engine.merge.quantised import Quantisation
from engine.merge.safetensors_io import ITEMSIZE, Checkpoint, Slot
from engine.merge.skeleton import load_skeleton
from engine.merge.stage import staged
from engine.merge.whole import merge_whole
from engine.merge.write import Watch, write_weights
from engine.storage import free_bytes


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


@dataclass(frozen=True, kw_only=True)
class Saving:
    """How a model is written, and who is told.

    `dtype` (float32, bfloat16, float16) casts floating-point tensors, None keeps them as stored. `tokenizer_from` is
    the folder whose tokenizer, chat template and generation config go with the model, None takes the base's. `finish`
    gets the folder when all else is in it, before it appears. `progress` gets bytes done and bytes in all,
    `should_stop` is polled between blocks; both are called in the caller's thread only. `on_note` gets notes as they
    arise, before the work they are about. `free` tells the free bytes at a folder.
    """

    progress: Callable[[int, int], None]
    should_stop: Callable[[], bool]
    tokenizer_from: Path | None = None
    max_shard_bytes: int = MAX_SHARD_BYTES
    dtype: str | None = None
    trust_remote_code: bool = False
    finish: Callable[[Path], None] = lambda folder: None
    on_note: Callable[[Problem], None] = lambda note: None
    free: Callable[[Path], int] = free_bytes

    def watch(self) -> Watch:
        return Watch(self.progress, self.should_stop)


def merge_adapter(
    base: Path,
    adapter: Path,
    out: Path,
    saving: Saving,
    *,
    quantisation: Quantisation | None = None,
    types: Mapping[str, str] | None = None,
) -> MergeReport:
    """Merge a peft adapter folder into a safetensors model folder, writing the model folder `out`.

    With `quantisation` the adapter goes onto the weights that such a base stood for. `types`: {tensor: safetensors
    type to write it in where `saving` names none}, by default its own. Notes are in the report too.

    Raises ConfigError (inputs that cannot be merged, `export_exists`), EnvironmentProblem (`merge_disk_full`,
    `merge_no_bitsandbytes`), RunError (`merge_not_finite`, `merge_write_failed`), StopRequested; in every case `out`
    is as it was before.
    """
    started = time.monotonic()
    _require_free(out)
    target = stored_dtype(saving.dtype)
    expected = forecast(
        base,
        adapter,
        out,
        max_shard_bytes=saving.max_shard_bytes,
        dtype=saving.dtype,
        quantised=quantisation is not None,
        free=saving.free,
    )
    check_disk(expected, out)
    trust = saving.trust_remote_code
    with open_base(base, adapter, trust_remote_code=trust, quantisation=quantisation, types=types) as checkpoint:
        try:
            skeleton = load_skeleton(base, adapter, trust, checkpoint.vocabulary)
            plan = make_plan(checkpoint, skeleton, target)
            for note in plan.notes:
                saving.on_note(note)
            report = _write(base, checkpoint, plan, out, saving, _most(plan.slots) if types else None)
        except NotStreamableError as reason:
            if not checkpoint.as_stored:
                raise ConfigError(Problem("merge_whole_model_only", {"reason": str(reason)})) from reason
            report = _whole(base, adapter, out, str(reason), checkpoint, saving)
    report.seconds = time.monotonic() - started
    return report


def copy_model(base: Path, out: Path, saving: Saving) -> MergeReport:
    """Write the model of the folder `base` as it is to `out`: in files of another size or another type where asked.

    Raises as `merge_adapter` does, and ConfigError `merge_base_quantised` where a quantised model would have to change
    its type.
    """
    started = time.monotonic()
    _require_free(out)
    target = stored_dtype(saving.dtype)
    expected = forecast(base, None, out, max_shard_bytes=saving.max_shard_bytes, dtype=saving.dtype, free=saving.free)
    check_disk(expected, out)
    with Checkpoint.of_model(base) as checkpoint:
        report = _write(base, checkpoint, plan_copies(checkpoint, target), out, saving)
    report.seconds = time.monotonic() - started
    return report


def _require_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(Problem("export_exists", {"folder": str(out)}, key="export_dir"))


def _write(
    base: Path, checkpoint: Checkpoint, plan: Copies, out: Path, saving: Saving, dtype: str | None = None
) -> MergeReport:
    """`dtype`: what config.json is to say of the type where `saving` names none; None leaves it as it is."""
    watch = saving.watch()
    vocabulary = checkpoint.vocabulary if isinstance(checkpoint, Base) else None
    with _writing(out) as stage:
        size = write_weights(stage, checkpoint, plan, saving.max_shard_bytes, watch)
        copy_companions(base, saving.tokenizer_from, stage)
        write_config(base, stage, untied=plan.untied, dtype=dtype or saving.dtype, vocabulary=vocabulary)
        saving.finish(stage)
        watch.look()
    return MergeReport(len(plan.slots), plan.changed, size, 0.0, plan.untied, _most(plan.slots), plan.notes)


@contextmanager
def _writing(out: Path) -> Iterator[Path]:
    """A stage for `out`; the disk's own errors become a problem."""
    try:
        with staged(out) as stage:
            yield stage
    except OSError as error:
        raise RunError(Problem("merge_write_failed", {"folder": str(out.parent), "reason": str(error)})) from error


def _most(slots: Iterable[Slot]) -> str:
    """The type that most bytes have, by torch's name."""
    stored = Counter[str]()
    for slot in slots:
        stored[slot.dtype] += slot.nbytes
    most = stored.most_common(1)[0][0]
    return next((name for name, short in DTYPES.items() if short == most), most)


def _whole(base: Path, adapter: Path, out: Path, reason: str, checkpoint: Checkpoint, saving: Saving) -> MergeReport:
    elements = sum(stored.nbytes // ITEMSIZE[stored.dtype] for stored in checkpoint.tensors.values())
    memory_gb = round(elements * 4 / 1e9, 1)
    note = Problem("merge_whole_model", {"reason": reason, "memory_gb": memory_gb}, severity="note")
    saving.on_note(note)
    watch = saving.watch()
    watch.total = elements * 4
    watch.look()
    with _writing(out) as stage:
        tensors, changed, size, written = merge_whole(
            base, adapter, stage, saving.max_shard_bytes, saving.dtype, saving.trust_remote_code
        )
        copy_companions(base, saving.tokenizer_from, stage)
        saving.finish(stage)
        watch.moved(watch.total)
        watch.look()
    return MergeReport(tensors, changed, size, 0.0, False, written, [note])
