"""Pictures of a run's curves, as LLaMA-Factory draws them: one file a figure, measured and smoothed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any


def plot_curves(log_history: list[dict[str, Any]], output_dir: Path) -> list[Path]:
    """training_loss.png, training_eval_loss.png, training_eval_NAME_accuracy.png …: what the log has points of."""
    found = dict.fromkeys(key for entry in log_history for key in entry if _drawn(key))
    return [_plot(key, log_history, output_dir) for key in found]


def smooth(values: list[float]) -> list[float]:
    """Exponential moving average whose weight grows with the number of points, as LLaMA-Factory draws it."""
    weight = 1.8 * (1 / (1 + math.exp(-0.05 * len(values))) - 0.5)
    last, smoothed = values[0], []
    for value in values:
        last = last * weight + (1 - weight) * value
        smoothed.append(last)
    return smoothed


def _drawn(key: str) -> bool:
    return key == "loss" or (key.startswith("eval_") and key.endswith(("_loss", "_accuracy")))


def _plot(key: str, log_history: list[dict[str, Any]], output_dir: Path) -> Path:
    from matplotlib.figure import Figure  # without pyplot, which would look for a screen

    points = [(entry["step"], entry[key]) for entry in log_history if key in entry]
    steps, values = zip(*points, strict=True)
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot(steps, values, color="#1f77b4", alpha=0.4, label="original")
    axes.plot(steps, smooth(list(values)), color="#1f77b4", label="smoothed")
    axes.set(xlabel="step", ylabel=key, title=f"{key} of {output_dir.name}")
    axes.legend()
    file = output_dir / f"training_{key.replace('/', '_')}.png"
    figure.savefig(file, dpi=100)
    return file
