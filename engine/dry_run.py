"""The plan of a job as data: what would be done, written and counted."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from engine.data_check import ask
from engine.memory.forecast import Forecast, Machine, forecast_job
from engine.pipeline import Plan


@dataclass(frozen=True)
class DryRun:
    """What a plan comes to: as data, and the forecast of its memory, None where there is nothing left to do."""

    shown: dict[str, Any]
    forecast: Forecast | None

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return self.shown | {"memory": self.forecast.as_dict() if self.forecast else None}


def dry_run(plan: Plan, *, force: bool = False, machine: Machine | None = None) -> DryRun:
    """What would be done: steps, files to be written, and, where there is training, rows, tokens, steps and memory.

    The memory is the fast figure: a trace would take longer than all the rest. Raises DataError where a run would be
    stopped because of its data, unless `force`.
    """
    shown: dict[str, Any] = {"steps": plan.steps, "done": plan.done, "outputs": plan.outputs}
    shown["files"] = _files(plan)
    shown["aside"] = [str(path) for path in plan.aside]
    counted = None
    if plan.job.train and "train" in plan.steps:
        counted = shown["training"] = _count(plan, force)
    train = plan.job.train if "train" in plan.steps else None
    merge = plan.job.merge if "merge" in plan.steps else None
    if not train and not merge:
        return DryRun(shown, None)
    job = replace(plan.job, train=train, merge=merge)
    return DryRun(shown, forecast_job(job, machine or Machine.here(trace=False), count=False, counted=counted))


def _files(plan: Plan) -> list[str]:
    found = []
    if "train" in plan.steps and plan.job.train:
        out = plan.job.train.config.output_dir
        found += [f"{out}/adapter_model.safetensors", f"{out}/trainer_log.jsonl", f"{out}/checkpoint-…"]
    if "merge" in plan.steps and plan.job.merge:
        found.append(f"{plan.job.merge.config.export_dir}/model*.safetensors")
    return [*found, f"{plan.job.runs}{os.sep}…"] if found else found


def _count(plan: Plan, force: bool) -> dict[str, Any]:
    """Tokenise in a worker (its cache serves the run later) and do the arithmetic of steps."""
    spec = {**plan.spec["train"], "force": force}
    return ask("engine.data.count", spec, plan.job.secrets, lambda event: None)
