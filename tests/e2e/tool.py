"""Driving the installed command as a user does: subprocesses, files, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

TOOL = [str(Path(sys.executable).with_name("sft-wizard"))]


def sft(*arguments: str | Path, cwd: Path, timeout: float = 240, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run sft-wizard to its end without a terminal."""
    command = [*TOOL, *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=timeout, env=environment(), **options
    )


def start(*arguments: str | Path, cwd: Path, **options: Any) -> subprocess.Popen[str]:
    """Start sft-wizard; its output goes to pipes that are read at the end. It hears Ctrl+C even where the tests run in

    the background of a shell, which lets its children ignore it.
    """
    return subprocess.Popen(
        [*TOOL, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def environment() -> dict[str, str]:
    """One thread: the models are tiny and the machine is shared."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def write_yaml(path: Path, values: dict[str, Any]) -> Path:
    """A config file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def train_config(folder: Path, model: Path, rows: int = 40, **changes: Any) -> Path:
    """A train config with its dataset in `folder`; returns the config's path."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    samples = [{"instruction": f"question {i}", "input": "", "output": f"an answer, number {i}"} for i in range(rows)]
    (data / "rows.json").write_text(json.dumps(samples))
    (data / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    values = {
        "model_name_or_path": str(model),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": 4,
        "lora_dropout": 0.1,
        "dataset": "rows",
        "cutoff_len": 64,
        "output_dir": "saves/out",
        "logging_steps": 1,
        "save_steps": 10,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-3,
        "num_train_epochs": 1.0,
        "lr_scheduler_type": "cosine",
        "plot_loss": True,
        **changes,
    }
    return write_yaml(folder / "train.yaml", {name: value for name, value in values.items() if value is not ...})


def events(runs: Path) -> list[dict[str, Any]]:
    """All events of the newest run under `runs`."""
    folders = sorted(path for path in runs.glob("*T*") if path.is_dir())
    if not folders or not (folders[-1] / "events.jsonl").exists():
        return []
    lines = (folders[-1] / "events.jsonl").read_text().split("\n")
    return [json.loads(line) for line in lines[:-1]]


def wait_for(condition: Callable[[], Any], seconds: float = 120, process: subprocess.Popen[str] | None = None) -> Any:
    """Until `condition` holds; fails with what the process said if it ends before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        if process is not None and process.poll() is not None:
            found = condition()
            assert found, f"ended too early ({process.returncode}): {process.communicate()}"
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def steps_done(runs: Path) -> int:
    """The last optimiser step that the newest run reported."""
    return max((event["step"] for event in events(runs) if event["type"] == "step"), default=0)
