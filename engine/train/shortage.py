"""A real shortage of memory while training: noticed, told, and answered with a smaller plan of the same step.

What failed is left first: its traceback keeps every tensor of the failed forward alive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from accelerate.utils.memory import clear_device_cache

from engine.errors import Problem, RunError
from engine.memory.job import StepPlan
from engine.memory.planning import CHUNKS

RETRIES = 3  # in a run
_WORDS = ("out of memory", "cublas_status_alloc_failed", "can't allocate memory")  # CUDA, its library, the processor

T = TypeVar("T")


@dataclass(frozen=True)
class Shortage:
    """That memory ran out, in torch's words."""

    reason: str


def is_shortage(error: Exception) -> bool:
    """Whether torch says by this that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)


def attempt(work: Callable[[], T]) -> T | Shortage:
    """What `work` returns, or the shortage that ended it, its tensors gone and the device's cache given back."""
    try:
        return work()
    except Exception as error:
        if not is_shortage(error):
            raise
        found = Shortage(str(error)[:300])
    clear_device_cache(garbage_collection=True)
    return found


@dataclass(frozen=True)
class Attempt:
    """What a step that ran out of memory had made of its plan. largest: tokens of its largest row, padding included.

    divisible: whether that row holds more than one sample, and may be divided without changing the step.
    """

    largest: int
    divisible: bool


@dataclass
class Recovery:
    """How a run answers shortages. layers: of the model; may_recompute: the config leaves it open how many recompute.

    tell: where each retry is recorded. left: retries that the run still has.
    """

    tell: Callable[[Problem], None]
    layers: int
    may_recompute: bool
    left: int = RETRIES

    def lowered(self, plan: StepPlan, tried: Attempt, *, again: bool, training: bool = True) -> StepPlan | None:
        """Half of the row that did not fit; `again`, or where it cannot be divided, the head takes its smallest chunk

        too, and every layer recomputes in training. None where nothing is left to give up. All of it is exact.
        """
        smaller = replace(plan, row_tokens=max(1, tried.largest // 2)) if tried.divisible else plan
        if again or not tried.divisible:
            depth = max(plan.recompute, self.layers) if training and self.may_recompute else plan.recompute
            smaller = replace(smaller, recompute=depth, chunk=min(plan.chunk, CHUNKS[-1]))
        return None if smaller == plan else smaller

    def retry(
        self, plan: StepPlan, tried: Attempt, shortage: Shortage, step: int, *, training: bool = True
    ) -> StepPlan:
        """The plan to do step `step`, or what is measured after it, again with; recorded as a warning.

        Raises RunError `oom` (`oom_measuring`) after RETRIES of them, or where nothing is left to give up.
        """
        again = self.left < RETRIES
        smaller = self.lowered(plan, tried, again=again, training=training) if self.left else None
        if smaller is None:
            raise RunError(Problem("oom", {"reason": shortage.reason})) if training else out_of_memory(shortage)
        self.left -= 1
        params = {
            "step": step,
            "tokens": smaller.row_tokens,
            "before": plan.row_tokens,
            "recompute": smaller.recompute,
            "layers": self.layers,
            "chunk": smaller.chunk,
            "left": self.left,
            "reason": shortage.reason,
        }
        code = "memory_retry" if training else "memory_retry_measuring"
        self.tell(Problem(code, params, severity="warning"))
        return smaller


def out_of_memory(shortage: Shortage) -> RunError:
    """While measuring, where another key is to be lowered than for training."""
    return RunError(Problem("oom_measuring", {"reason": shortage.reason}, "per_device_eval_batch_size"))
