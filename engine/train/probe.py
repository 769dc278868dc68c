"""Before step 1 on a GPU: one forward and backward on the longest real batch. Does the plan fit, and what does it take?

Gradients and what the optimiser will hold are there meanwhile, as they are in every later row, so the peak is the
run's. Nothing is learned: no optimiser step, gradients dropped, random state put back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from accelerate.utils.memory import clear_device_cache

from engine.data.encoded import Encoded
from engine.errors import Problem, RunError
from engine.memory.job import Parts, StepPlan
from engine.train.packing import IGNORED
from engine.train.random_state import RandomState
from engine.train.shortage import Recovery, Shortage, attempt
from engine.train.trainer import StepTrainer


class Meter(Protocol):
    """What a device tells of its memory, in bytes of tensors."""

    def reset_peak(self) -> None:
        """The peak begins anew."""

    def allocated(self) -> int:
        """What tensors take now."""

    def peak(self) -> int:
        """The most that they took since the last reset, work that is queued included."""


class CudaMeter:
    """torch's own allocator on the current GPU."""

    def reset_peak(self) -> None:
        """See Meter."""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()

    def allocated(self) -> int:
        """See Meter."""
        return torch.cuda.memory_allocated()

    def peak(self) -> int:
        """See Meter."""
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()


@dataclass
class Probe:
    """Called once by the trainer, with the model as it trains.

    state: bytes that the optimiser will hold on the device. predict: parts that a plan was predicted to take, None
    where that is not known. event: takes the figures; learn: predicted and measured bytes of activations and head.
    """

    meter: Meter
    recovery: Recovery
    state: int
    predict: Callable[[StepPlan], Parts | None]
    event: Callable[..., None]
    learn: Callable[[int, int], None]

    def __call__(self, trainer: StepTrainer, model: torch.nn.Module) -> None:
        """Raises RunError `oom` where not even the smallest plan fits."""
        before = RandomState.now(trainer.args.device)
        again = False
        while True:
            batch = longest_batch(trainer)
            found = attempt(partial(self._measure, trainer, model, batch))
            model.zero_grad()
            clear_device_cache()
            before.put_back()
            if not isinstance(found, Shortage):
                break
            smaller = self.recovery.lowered(trainer.plan, trainer.tried([batch]), again=again)
            if smaller is None:
                raise RunError(Problem("oom", {"reason": found.reason}))
            params = {
                "tokens": smaller.row_tokens,
                "before": trainer.plan.row_tokens,
                "recompute": smaller.recompute,
                "layers": self.recovery.layers,
                "chunk": smaller.chunk,
                "reason": found.reason,
            }
            self.recovery.tell(Problem("memory_probe_short", params, severity="warning"))
            trainer.use_plan(smaller)
            again = True
        self._tell(replace(trainer.plan, row_tokens=trainer.tried([batch]).largest), *found)

    def _measure(self, trainer: StepTrainer, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[int, int]:
        """(bytes that are there throughout, bytes at the peak)."""
        held = sum(value.nbytes for value in _state(trainer.optimizer) if value.device == trainer.args.device)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)
        room = torch.empty(max(0, self.state - held), dtype=torch.uint8, device=trainer.args.device)
        standing = self.meter.allocated()
        self.meter.reset_peak()
        labels = int((batch["labels"][:, 1:] != IGNORED).sum())
        trainer.forward_backward(model, [batch], torch.tensor(max(1, labels), device=room.device))
        return standing, self.meter.peak()

    def _tell(self, plan: StepPlan, standing: int, peak: int) -> None:
        """What was measured beside what was predicted of the row that was tried."""
        parts = self.predict(plan)
        figures: dict[str, Any] = {"plan": asdict(plan), "standing": standing, "measured": peak}
        if parts is not None:
            moving = parts.activations + parts.head
            figures |= {"predicted": parts.allocated, "ratio": round((peak - standing) / max(1, moving), 4)}
            self.learn(moving, peak - standing)
        self.event("log", what="probe", **figures)


def longest_batch(trainer: StepTrainer) -> dict[str, torch.Tensor]:
    """The largest batch that a step can hold under the plan, collated: of the longest rows of the data.

    Packed: the longest row of the data and, by falling length, all that still have room beside it, up to the samples
    of one optimiser step. Padded: a whole micro-batch of the longest.
    """
    encoded: Encoded = trainer.train_dataset.encoded
    at_once = trainer.args.per_device_train_batch_size
    most = at_once * (trainer.args.gradient_accumulation_steps if trainer.packed else 1)
    chosen: list[int] = []
    room = trainer.plan.row_tokens
    lengths = np.diff(encoded.offsets)
    shortest = lengths.min(initial=0)
    for index in np.argsort(-lengths, kind="stable"):
        if len(chosen) == most or (trainer.packed and chosen and room < shortest):
            break
        if not chosen or not trainer.packed or lengths[index] <= room:
            chosen.append(int(index))
            room -= int(lengths[index])
    return trainer.data_collator([trainer.train_dataset[index] for index in chosen])


def _state(optimiser: Any) -> list[torch.Tensor]:
    """What an optimiser holds already: of a resumed run all of its state."""
    found = getattr(optimiser, "state", {}).values()
    return [value for state in found for value in state.values() if isinstance(value, torch.Tensor)]
