"""Runs as a list shows them, and as they are compared: read from their folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.builtin_model import ALIAS, is_builtin
from engine.errors import ProblemError
from engine.runs.events import read_events
from engine.runs.folder import RunFolder
from engine.runs.history import History
from engine.runs.status import Status, status
from engine.runs.view import peak_bytes


@dataclass(frozen=True)
class Listed:
    """A run in a list. began: Unix time. model, data: names, empty where its config cannot be read."""

    run: RunFolder
    status: Status
    name: str
    began: float
    model: str
    data: str


@dataclass(frozen=True)
class Trained:
    """A run to compare. curve, evals: (optimiser step, smoothed loss), (step, loss on rows held back).

    settings: keys of the train config as the run had them, defaults included. loss: the last smoothed one. seconds:
    from the first to the last step. peak: bytes. Each is None where unknown.
    """

    listed: Listed
    settings: Mapping[str, Any]
    curve: tuple[tuple[int, float], ...] = ()
    evals: tuple[tuple[int, float], ...] = ()
    loss: float | None = None
    eval_loss: float | None = None
    tokens_per_second: float | None = None
    peak: int | None = None
    seconds: float | None = None


def listed(run: RunFolder) -> Listed:
    """A run for a list, from its config, its state and the end of its events."""
    config = _config(run)
    train = _train(config)
    model = str(
        train.get("model_name_or_path") or _mapping(config.get("merge"), "config").get("model_name_or_path", "")
    )
    data = train.get("dataset") or ""
    return Listed(
        run=run,
        status=status(run),
        name=str(config.get("name") or run.id),
        began=run.began(),
        model=ALIAS if is_builtin(model) else Path(model).name,
        data=", ".join(map(str, data)) if isinstance(data, list) else str(data),
    )


def trained(run: RunFolder) -> Trained:
    """Everything that is compared. Reads all of the run's events."""
    past, first, last, tokens = History(), None, None, 0
    for event in read_events(run.events_file):
        past.take(event)
        if event["type"] == "step":
            # The first step has no beginning: its tokens are left out of the rate, as its time is.
            tokens += event.get("tokens", 0) if first is not None else 0
            first = event["t"] if first is None else first
            last = event["t"]
    found = listed(run)
    seconds = last - first if first is not None and last is not None and last > first else None
    curve = past.smoothed.points()
    return Trained(
        listed=found,
        settings=_train(_config(run)),
        curve=curve,
        evals=tuple(past.evals),
        loss=curve[-1][1] if curve else None,
        eval_loss=past.evals[-1][1] if past.evals else None,
        tokens_per_second=tokens / seconds if seconds and tokens else None,
        peak=peak_bytes(past.facts),
        seconds=seconds,
    )


def _config(run: RunFolder) -> Mapping[str, Any]:
    try:
        return run.config()
    except (OSError, ProblemError):
        return {}


def _train(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(config.get("train"), "config")


def _mapping(part: Any, name: str) -> Mapping[str, Any]:
    """A part of a config, as far as it is one: a file may have been edited."""
    inner = part.get(name) if isinstance(part, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}
