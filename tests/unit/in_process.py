"""The steps of a run in the test's own process: what a config makes, without waiting for a worker to import torch."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.config.jobs import load_job
from engine.pipeline import make_plan
from engine.runs.events import EventLog, read_events
from engine.runs.folder import RunFolder
from engine.runs.worker import STEPS, Work
from tests.unit.method_toys import save_model


def do(folder: Path, values: dict[str, Any], *, force: bool = False) -> list[dict[str, Any]]:
    """Do what a config with these keys says, its run folder and cache in `folder`; the run's events.

    A value of `...` leaves the key out.
    """
    file = folder / "config-of-the-run.yaml"
    file.write_text(yaml.safe_dump({name: value for name, value in values.items() if value is not ...}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        plan = make_plan(load_job(file), fresh=False, require_gpu=False, progress=lambda *args: None)
        plan.spec["force"] = force
        made = RunFolder.create(folder / "runs", "toy", plan.spec)
        work = Work(made, made.config(), EventLog(made.events_file))
        for step in plan.steps:
            importlib.import_module(STEPS[step]).run(work)
    return list(read_events(made.events_file))


def toys(folder: Path, *, samples: int = 40, **sizes: Any) -> dict[str, str]:
    """The keys that name a small model (`sizes`: of its configuration) and the dataset `toy`, both written to `folder`.

    Answers are of four lengths in turn.
    """
    save_model(folder / "model", **sizes)
    (folder / "data").mkdir()
    rows = [{"instruction": f"question {i}", "output": "there is an answer " * (1 + i % 4)} for i in range(samples)]
    (folder / "data" / "toy.json").write_text(json.dumps(rows))
    (folder / "data" / "dataset_info.json").write_text(json.dumps({"toy": {"file_name": "toy.json"}}))
    return {"model_name_or_path": str(folder / "model"), "dataset_dir": str(folder / "data")}
