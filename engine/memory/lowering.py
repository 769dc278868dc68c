"""What a job that ran out of memory may be changed to: the fewest settings with which it needs clearly less."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from engine.config.schema import TrainConfig
from engine.errors import EnvironmentProblem, Problem
from engine.memory.case import Case, look
from engine.memory.fitting import changes, fit
from engine.memory.forecast import Machine, forecast
from engine.memory.remedies import Change
from engine.runs.events import Event
from engine.text import Phrase

SAVING = 0.15  # of what the leanest plan of a step needs: the error of an estimate, and what fragmentation takes
LEAST_CUTOFF = 128


def lower(
    file: Path,
    overrides: Sequence[str] = (),
    *,
    machine: Machine | None = None,
    listen: Callable[[Event], None] = lambda event: None,
    cwd: Path | None = None,
) -> tuple[Change, ...]:
    """At least one change, exact ones first; by the quick estimate, since what is sought is less, not a figure.

    Raises ConfigError as `forecast`, EnvironmentProblem nothing_smaller where no setting saves memory.
    """
    found = forecast(file, overrides, machine=machine or Machine.here(trace=False), listen=listen, cwd=cwd)
    made = lowered(found.case) if found.case else halved(found.config) if found.config else ()
    if not made:
        raise EnvironmentProblem(Problem("nothing_smaller", {"smaller": list(found.smaller) or "-"}))
    return made


def lowered(case: Case) -> tuple[Change, ...]:
    """The fewest changes after which the leanest plan needs SAVING less than now, and no more than is free."""
    ranked = changes(case)
    target = min(case.free, int(look(case).least * (1 - SAVING)))
    return fit(replace(case, free=target, margin=0.0), ranked).changes


def halved(config: TrainConfig) -> tuple[Change, ...]:
    """Where nothing can be estimated: half of the batch, else half of a sample's length."""
    batch, steps = config.per_device_train_batch_size, config.gradient_accumulation_steps
    if batch > 1 and batch % 2 == 0:
        title = Phrase("{batch} samples at a time, {steps} times a step", {"batch": batch // 2, "steps": 2 * steps})
        settings = {"per_device_train_batch_size": batch // 2, "gradient_accumulation_steps": 2 * steps}
        return (Change(title, settings, True, Phrase("the same optimiser steps")),)
    cutoff = config.cutoff_len // 2
    if cutoff < LEAST_CUTOFF:
        return ()
    title = Phrase("At most {cutoff} tokens of a sample", {"cutoff": cutoff})
    effect = Phrase("longer samples are cut, and what is cut is not learnt")
    return (Change(title, {"cutoff_len": cutoff}, False, effect),)
