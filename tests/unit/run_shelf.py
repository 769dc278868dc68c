"""Run folders as workers left them, for lists and comparisons."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from engine.runs.events import EventLog
from engine.runs.folder import RunFolder

BEGAN = 1_769_851_800.0  # 2026-01-31 09:30 UTC
SETTINGS: dict[str, Any] = {
    "model_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "dataset": "identity",
    "lora_rank": 8,
    "lora_alpha": None,
    "learning_rate": 1e-4,
}


def shelve(
    project: Path,
    *,
    name: str = "mine",
    steps: int = 20,
    total: int = 0,
    outcome: str = "done",
    checkpoint: int | None = None,
    settings: dict[str, Any] | None = None,
    outputs: dict[str, str] | None = None,
    evals: tuple[tuple[int, float], ...] = (),
    seconds: float = 2.0,
) -> RunFolder:
    """A run of so many of `total` steps, two seconds and 900 tokens each, that ended as `outcome`: done or stopped."""
    given = {**SETTINGS, "output_dir": str(project / "saves"), **(settings or {})}
    config = {"version": 1, "name": name, "file": str(project / "config.yaml"), "steps": ["train"]}
    run = RunFolder.create(project / "logs", name, {**config, "train": {"config": given}})
    now = [BEGAN]
    log = EventLog(run.events_file, clock=lambda: now[0])
    log.write("run_started", run=run.id, steps=["train"], pid=1, versions={})
    log.write("phase", name="training", step=0, total=total or steps)
    for step in range(1, steps + 1):
        now[0] += seconds
        loss = 0.4 + 2.6 * math.exp(-step / 10)
        log.write("step", step=step, total=total or steps, loss=loss, tokens=900, tokens_per_second=450.0, lr=1e-4)
        for at, held_back in evals:
            if at == step:
                log.write("eval", step=at, loss=held_back)
        if step == checkpoint:
            log.write("checkpoint", step=step, path=str(project / "saves" / f"checkpoint-{step}"))
    log.write("log", what="memory", peak_bytes={"resident": 2_000_000_000})
    log.write("finished", outcome=outcome, outputs=outputs or {})
    run.update_state(state="finished" if outcome == "done" else "stopped", outputs=outputs or {})
    return run
