"""A job whose settings may change, and what it comes to with a plan of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from engine.config.schema import TrainConfig
from engine.memory.calibration import Calibrated
from engine.memory.job import DataShape, Device, Parts, Recipe, StepPlan
from engine.memory.planning import MARGIN, Costs, choose_plan, leanest_plan, step_time, step_tokens

Costing = Callable[[TrainConfig], tuple[Recipe, Costs]]


@dataclass(frozen=True)
class Case:
    """A job whose settings may change. layers: of the model. free: bytes that it may need, by the measure of `costing`,

    whose activations and head count `factor` times.
    passed: keys of the config that go to TrainingArguments. cuts: how many samples each shorter limit would cut, empty
    where nothing was counted. quantisable: whether bitsandbytes can be used there.
    """

    config: TrainConfig
    passed: Mapping[str, Any]
    data: DataShape
    device: Device
    layers: int
    free: int
    costing: Costing
    cuts: Mapping[int, int] = field(default_factory=dict)
    quantisable: bool = True
    factor: float = 1.0
    margin: float = MARGIN

    def costs(self) -> tuple[Recipe, Costs]:
        """What a step of it costs."""
        recipe, costs = self.costing(self.config)
        return recipe, Calibrated(costs, self.factor)

    def with_(self, settings: Mapping[str, Any]) -> Case:
        """The same job with other settings; a lower cutoff_len shortens the samples."""
        cutoff = settings.get("cutoff_len", self.config.cutoff_len)
        data = replace(
            self.data,
            tokens=min(self.data.tokens, self.data.samples * cutoff),
            longest=min(self.data.longest, cutoff),
            eval_longest=min(self.data.eval_longest, cutoff),
        )
        return replace(self, config=msgspec.structs.replace(self.config, **settings), data=data)


@dataclass(frozen=True)
class Outcome:
    """What a job comes to: the plan that fits, or the leanest one. least: bytes that the leanest one needs.

    evaluation: bytes that measuring needs at most, 0 where that is less than training needs. time: of an optimiser
    step, in `planning.step_time`'s unit.
    """

    recipe: Recipe
    plan: StepPlan
    parts: Parts
    fits: bool
    least: int
    evaluation: int
    time: float

    @property
    def needed(self) -> int:
        """Bytes at the highest peak of the plan."""
        return max(self.parts.total, self.evaluation)


def look(case: Case) -> Outcome:
    """The fastest plan of a job that fits, or its leanest."""
    recipe, costs = case.costs()
    batch, steps = case.config.per_device_train_batch_size, case.config.gradient_accumulation_steps
    chosen = choose_plan(
        costs,
        recipe,
        case.data,
        batch=batch,
        accumulation=steps,
        layers=case.layers,
        free=case.free,
        margin=case.margin,
    )
    leanest = leanest_plan(costs, recipe, case.data, layers=case.layers)
    plan = chosen or leanest
    measuring = evaluation_bytes(case, plan)
    fits = chosen is not None and measuring * (1 + case.margin) <= case.free
    time = step_time(plan, recipe, case.layers, step_tokens(case.data, batch, steps))
    least = max(costs.parts(leanest).total, measuring)
    return Outcome(recipe, plan, costs.parts(plan), fits, least, measuring, time)


def evaluation_bytes(case: Case, plan: StepPlan) -> int:
    """Bytes that measuring needs at most: rows without kept activations, taken for rows that recompute all layers.

    0 where its rows are no longer than those trained on.
    """
    recipe, costs = case.costs()
    tokens = case.data.eval_longest * (1 if recipe.packed else case.config.per_device_eval_batch_size)
    if tokens <= plan.row_tokens:
        return 0
    return costs.parts(replace(plan, row_tokens=tokens, recompute=case.layers)).total
