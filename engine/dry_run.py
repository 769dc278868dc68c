"""The plan of a job as data: what would be done, written and counted."""

from __future__ import annotations

import os
from typing import Any

from engine.data_check import ask
from engine.pipeline import Plan


def dry_run(plan: Plan, *, force: bool = False) -> dict[str, Any]:
    """The plan as data: steps, files to be written, and, where there is training, rows, tokens and steps.

    Raises DataError where a run would be stopped because of its data, unless `force`.
    """
    shown: dict[str, Any] = {"steps": plan.steps, "done": plan.done, "outputs": plan.outputs}
    shown["files"] = _files(plan)
    shown["aside"] = [str(path) for path in plan.aside]
    if plan.job.train and "train" in plan.steps:
        shown["training"] = _count(plan, force)
    return shown


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
