"""What is computed at labelled positions other than plain cross-entropy: DFT, EAFT, label smoothing, and what is right.

Each loss is token by token; a step sums it over labelled tokens and divides by their number, as for cross-entropy.
Logits exist for one chunk of positions at a time; in backward they are computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from engine.config.schema import TrainConfig
from engine.train.head import logit_adjustment
from engine.train.packing import IGNORED

TokenLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # fp32 logits (n, vocabulary), targets (n,) → (n,)
Head = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor, int], dict[str, torch.Tensor]]  # int: of a chunk

_EAFT_CANDIDATES, _EAFT_SCALE = 20, 3.0  # entropy over the 20 likeliest tokens, of which the largest is ln 20 ≈ 3


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """-log p(target)."""
    return F.cross_entropy(logits, targets, reduction="none")


def dft(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """-p log p of the target; the weight p takes no gradient (arXiv 2508.05629)."""
    losses = cross_entropy(logits, targets)
    return losses * torch.exp(-losses.detach())


def eaft(alpha: float) -> TokenLoss:
    """-log p(target), weighed by (entropy / 3) ** alpha of the 20 likeliest tokens; the weight takes no gradient."""

    def losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            likeliest = logits.topk(min(_EAFT_CANDIDATES, logits.shape[-1]), -1).values.log_softmax(-1)
            entropy = -(likeliest.exp() * likeliest).sum(-1)
            weight = (entropy / _EAFT_SCALE) ** alpha
        return cross_entropy(logits, targets) * weight

    return losses


def smoothed(epsilon: float) -> TokenLoss:
    """Cross-entropy against a target of 1 - epsilon, the rest spread evenly over the vocabulary."""
    return lambda logits, targets: F.cross_entropy(logits, targets, reduction="none", label_smoothing=epsilon)


def chosen_loss(config: TrainConfig, label_smoothing: float = 0.0) -> TokenLoss | None:
    """The loss that a config asks for; None for plain cross-entropy. As in LLaMA-Factory DFT goes before EAFT."""
    if config.use_dft_loss:
        return dft
    if config.use_eaft_loss:
        return eaft(config.eaft_alpha)
    return smoothed(label_smoothing) if label_smoothing else None


def summing(loss: TokenLoss) -> Head:
    """For packed rows: {"loss": the sum over targets}, zero with a gradient of zero when there are none."""

    def compute(
        lm: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor, chunk: int
    ) -> dict[str, torch.Tensor]:
        logits = _logits_of(lm)

        def part(states: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
            return loss(logits(states), answers).sum()

        chunks = zip(hidden.split(chunk), targets.split(chunk), strict=True)
        sums = [checkpoint(part, states, answers, use_reentrant=False) for states, answers in chunks]
        return {"loss": torch.stack(sums).sum()}

    return compute


def measuring(loss: TokenLoss) -> Head:
    """For packed rows without gradients: also {"right": (targets,), whether the likeliest token is the target}."""

    def compute(
        lm: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor, chunk: int
    ) -> dict[str, torch.Tensor]:
        logits, total, right = _logits_of(lm), hidden.new_zeros((), dtype=torch.float32), []
        for states, answers in zip(hidden.split(chunk), targets.split(chunk), strict=True):
            found = logits(states)
            total += loss(found, answers).sum()
            right.append(found.argmax(-1) == answers)
        return {"loss": total, "right": torch.cat(right)}

    return compute


def on_padded(loss: TokenLoss) -> Callable[..., torch.Tensor]:
    """For padded batches: Trainer's compute_loss_func(outputs, labels, num_items_in_batch)."""

    def compute(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        targets = labels[:, 1:]
        known = targets != IGNORED
        losses = loss(outputs["logits"][:, :-1][known].float(), targets[known])
        return losses.sum() / (losses.numel() if num_items_in_batch is None else num_items_in_batch)

    return compute


def _logits_of(lm: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    head, adjust = lm.get_output_embeddings(), logit_adjustment(lm.config)

    def logits(states: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = head(states).float()
        return adjust(found) if adjust else found

    return logits
