"""Worker of --dry-run: how many rows, tokens and steps a train config makes. JSON on stdin, JSON on stdout."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import msgspec

from engine.config.schema import TrainConfig
from engine.data.gate import gate
from engine.data.prepare import prepare
from engine.errors import ProblemError


def count(spec: dict[str, Any]) -> dict[str, Any]:
    """{samples, held_back, tokens, labelled, longest, steps_per_epoch, steps, notes} of a run's train part.

    `force` in the spec: what would ruin the run is among the notes instead of raised.
    """
    config = msgspec.convert(spec["config"], TrainConfig)
    model, force = Path(spec["model_path"]), bool(spec.get("force"))
    prepared = prepare(
        config,
        model,
        hashes=spec["data_sha256"],
        progress=lambda done, total: None,
        should_stop=lambda: False,
        force=force,
    )
    notes = [*prepared.notes, *gate(prepared, config, model, force=force)]
    report = prepared.train.report
    return {
        "samples": len(prepared.train),
        "held_back": prepared.held_back,
        "tokens": report.tokens,
        "labelled": report.labelled_tokens,
        "longest": report.longest,
        "steps_per_epoch": steps_per_epoch(len(prepared.train), config),
        "steps": total_steps(len(prepared.train), config),
        "notes": [problem.as_dict() for problem in notes],
    }


def steps_per_epoch(samples: int, config: TrainConfig) -> int:
    """Optimiser steps of one pass, as transformers' Trainer counts them."""
    return max(
        1, math.ceil(math.ceil(samples / config.per_device_train_batch_size) / config.gradient_accumulation_steps)
    )


def total_steps(samples: int, config: TrainConfig) -> int:
    """Optimiser steps of the whole run."""
    if config.max_steps > 0:
        return config.max_steps
    return math.ceil(steps_per_epoch(samples, config) * config.num_train_epochs)


if __name__ == "__main__":
    try:
        answer = count(json.load(sys.stdin))
    except ProblemError as error:
        answer = {"problems": [problem.as_dict() for problem in error.problems]}
    print(json.dumps(answer))
