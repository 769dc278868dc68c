"""The steps of a run in the test's own process: what a config makes, without waiting for a worker to import torch."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.config.jobs import load_job
from engine.pipeline import make_plan
from engine.runs.events import EventLog, read_events
from engine.runs.folder import RunFolder
from engine.runs.worker import STEPS, Work


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
