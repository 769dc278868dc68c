"""The traced estimate: a child process follows our own step under fake tensors, and the answer is kept on disk.

The child (trace_work.py) opens no file of the model. It may die of what it meets (fake tensors can end a process), so
it is bounded in time and memory, and whatever happens to it becomes the problem `trace_failed`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import msgspec
import psutil

from engine.errors import Problem, RunError
from engine.memory.job import Estimate, Parts, Recipe, StepPlan
from engine.runs.launch import python_module, worker_environment
from engine.storage import cache_folder, write_json
from engine.text import Phrase, verbatim

MEMORY = 3 * 2**29  # bytes that the child may take
ERROR = {"cuda": 0.05, "cpu": 0.005}  # of the allocated bytes; that of CUDA is the aim, not measured yet
_PAUSE = 0.2  # seconds between two looks at the child

# What the child's answer rests on beside its libraries: if one of these changes, no old answer counts.
_OURS = {
    "memory": ("allocator", "faking", "job", "trace_model", "trace_step", "trace_work", "unroll"),
    "train": ("adapters", "attention", "head", "model", "packing", "recompute"),
}
_LIBRARIES = ("torch", "transformers", "peft")

_NOTES = {
    "varlen": Phrase("variable-length attention of CUDA is counted by its known sizes"),
    "sdpa": Phrase("attention is counted as the processor's kernel keeps it, which CUDA's may exceed"),
    "packed_weights": Phrase("quantised weights are counted by their known sizes"),
    "optimiser": Phrase("of the optimiser only its state is counted"),
    "recurrent": Phrase("recurrent layers are counted as transformers computes them without kernels of their own"),
    "experts": Phrase("experts are counted as if tokens were spread evenly over them"),
}


class _Answer(msgspec.Struct):
    """What the child says, and what the cache keeps of it."""

    parts: Parts
    notes: list[str]


def traced_estimate(
    config_json: Mapping[str, Any],
    recipe: Recipe,
    plan: StepPlan,
    *,
    timeout: float = 60,
    command: Sequence[str] | None = None,
    memory: int = MEMORY,
) -> Estimate:
    """The estimate of a step of this config.json's model, from the cache or from a child that needs some seconds.

    `command`: the child, `memory`: bytes that it may take. Raises RunError (trace_failed) with the reason.
    """
    request = {"config": dict(config_json), "recipe": asdict(recipe), "plan": asdict(plan)}
    kept = _kept(request)
    answer = _read(kept) if kept else None
    if answer is None:
        said = _ask(request, command or python_module("engine.memory.trace_work"), timeout, memory)
        try:
            answer = msgspec.json.decode(said, type=_Answer)
        except msgspec.DecodeError as error:
            raise _failed(verbatim(error)) from None
        if kept:
            with contextlib.suppress(OSError):  # a full disk costs the next one some seconds, no more
                write_json(kept, {"parts": asdict(answer.parts), "notes": answer.notes})
    notes = tuple(_NOTES[code] for code in answer.notes if code in _NOTES)
    return Estimate("traced", answer.parts, plan, ERROR[recipe.kind], notes=notes)


def _kept(request: Mapping[str, Any]) -> Path | None:
    """Where the answer is kept; None where nothing can be."""
    try:
        return cache_folder("traces") / f"{_key(request)}.json"
    except OSError:
        return None


def _key(request: Mapping[str, Any]) -> str:
    """A name for what decides the answer."""
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    whole = {**request, "versions": versions, "ours": _fingerprint()}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]


@functools.cache
def _fingerprint() -> str:
    files = [Path(__file__).parents[1] / room / f"{name}.py" for room, names in _OURS.items() for name in names]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _read(kept: Path) -> _Answer | None:
    """The answer in the cache. A damaged one is thrown away."""
    try:
        return msgspec.json.decode(kept.read_bytes(), type=_Answer)
    except OSError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        with contextlib.suppress(OSError):
            kept.unlink()
        return None


def _ask(request: Mapping[str, Any], command: Sequence[str], timeout: float, memory: int) -> bytes:
    """What the child writes. Files, not pipes: nothing fills up, whatever it says. It does not outlive this call."""
    with TemporaryFile() as question, TemporaryFile() as answer, TemporaryFile() as said:
        question.write(json.dumps(request).encode())
        question.seek(0)
        try:
            process = subprocess.Popen(
                command,
                stdin=question,
                stdout=answer,
                stderr=said,
                start_new_session=True,  # Ctrl+C is for us
                env={**worker_environment(), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise _failed(verbatim(error)) from None
        try:
            reason = _watch(process, timeout, memory)
        finally:
            process.kill()
            process.wait()
        if reason is None and process.returncode:
            said.seek(0)
            reason = _last_words(said.read().decode(errors="replace"), process.returncode)
        if reason is not None:
            raise _failed(reason)
        answer.seek(0)
        return answer.read()


def _watch(process: subprocess.Popen[bytes], timeout: float, memory: int) -> Phrase | None:
    """Wait for its end. Why it must not go on, or None where it ended by itself."""
    until = time.monotonic() + timeout
    while True:
        try:
            process.wait(_PAUSE)
        except subprocess.TimeoutExpired:
            if time.monotonic() > until:
                return Phrase("it took more than {seconds} s", {"seconds": f"{timeout:g}"})
            if _resident(process.pid) > memory:
                return Phrase("it took more than {size} MB of memory", {"size": memory // 10**6})
        else:
            return None


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _last_words(said: str, code: int) -> Phrase:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if code < 0 or not lines:
        return Phrase("its process ended with code {code}", {"code": code})
    return verbatim(" ".join(lines[-1].split())[:300].rstrip(". "))


def _failed(reason: Phrase) -> RunError:
    return RunError(Problem("trace_failed", {"reason": reason}))
