"""Whether a job fits with a preset's settings: what makes `recommend` look at model and data, not at memory alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from engine.config.schema import TrainConfig, fields
from engine.memory.calibration import Calibrated
from engine.memory.calibration import factor as measured_factor
from engine.memory.fast import ERROR, costs_of
from engine.memory.job import DataShape, Device, Estimate, Recipe
from engine.memory.planning import choose_plan
from engine.memory.presets import FRAME, Fits, Preset
from engine.memory.recipe import recipe_of
from engine.memory.shape import ModelShape


def job_fits(
    shape: ModelShape,
    data: DataShape,
    device: Device,
    settings: Mapping[str, Any] | None = None,
    factor: Callable[[Device, Recipe], float] = measured_factor,
) -> Fits:
    """For `recommend`: the fast estimate of this job with a preset's settings, None where no plan of a step fits.

    data: before a preset's cutoff_len; where they were not counted, every sample is taken to be that long. settings:
    keys that stay whatever the preset says. factor: calibration's, or what stands for it.
    """
    given = dict(settings or {})

    def fits(preset: Preset) -> Estimate | None:
        chosen = {**preset.settings, **given}
        own = {name: value for name, value in chosen.items() if name in fields(TrainConfig)}
        passed = {name: value for name, value in chosen.items() if name not in own}
        config = TrainConfig(**FRAME, **own)
        recipe = recipe_of(config, passed, shape, device)
        measured = factor(device, recipe)
        costs = Calibrated(costs_of(shape, recipe), measured)
        longest = min(data.longest, config.cutoff_len) if data.counted else config.cutoff_len
        plan = choose_plan(
            costs,
            recipe,
            replace(data, longest=longest, tokens=min(data.tokens, data.samples * config.cutoff_len)),
            batch=config.per_device_train_batch_size,
            accumulation=config.gradient_accumulation_steps,
            layers=len(shape.layers),
            free=device.free,
        )
        return Estimate("fast", costs.parts(plan), plan, ERROR, measured, shape.notes) if plan else None

    return fits
