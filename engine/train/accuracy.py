"""Accuracy as LLaMA-Factory measures it: the share of right tokens of each sample, averaged over samples.

A token is right where the likeliest one at its place is the label. Samples without labels do not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from engine.train.packing import IGNORED, Tokens


class Accuracy:
    """Trainer's compute_metrics over shares (samples, 1), NaN where a sample has no label → {"accuracy": mean}."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def __call__(self, prediction: Any, compute_result: bool = True) -> dict[str, float]:
        """compute_result: false for all batches but the last, where Trainer hands them over one by one."""
        parts = prediction.predictions if isinstance(prediction.predictions, list) else [prediction.predictions]
        self.shares += [float(share) for part in parts for share in np.asarray(part).ravel()]
        if not compute_result:
            return {}
        known = [share for share in self.shares if not math.isnan(share)]
        self.shares = []
        return {"accuracy": sum(known) / len(known)} if known else {}


def shares_of_packed(right: torch.Tensor, row: Sequence[Tokens]) -> list[torch.Tensor]:
    """right (labelled tokens of the row,) → the share of each of its samples, NaN without labels."""
    counts = [int((sample.labels[1:] != IGNORED).sum()) for sample in row]
    return [part.float().mean() for part in right.split(counts)]


def shares_of_padded(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """logits (rows, width, vocabulary), labels (rows, width) → the share of each row (rows, 1), NaN without labels."""
    targets = labels[:, 1:]
    known = targets != IGNORED
    right = (logits[:, :-1].argmax(-1) == targets) & known
    return (right.sum(1) / known.sum(1))[:, None]
