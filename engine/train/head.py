"""Output head and loss where there is a label, in chunks, without ever holding all logits.

The loss is the SUM over labelled tokens of -log softmax(logits)[target], computed in fp32. For a plain frozen head
the gradient of the hidden states is formed in the same pass (softmax minus one-hot, times the weight), so a chunk's
logits are dropped at once and nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from engine.memory.job import CHUNK

Adjust = Callable[[torch.Tensor], torch.Tensor]


def summed_loss(lm: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor, chunk: int = CHUNK) -> torch.Tensor:
    """hidden (labelled, width), targets (labelled,) → scalar fp32 sum. Zero with a gradient of zero when empty."""
    head = lm.get_output_embeddings()
    adjust = logit_adjustment(lm.config)
    if is_plain(head) and not any(parameter.requires_grad for parameter in head.parameters()) and adjust is None:
        return _FrozenHead.apply(hidden, head.weight, head.bias, targets, chunk)

    def part(states: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        logits = head(states).float()
        return F.cross_entropy(adjust(logits) if adjust else logits, answers, reduction="sum")

    # Where nothing is labelled there is one empty chunk: the head then gets a gradient of zero, as in the plain loss.
    chunks = zip(hidden.split(chunk), targets.split(chunk), strict=True)
    return torch.stack([checkpoint(part, states, answers, use_reentrant=False) for states, answers in chunks]).sum()


def token_losses(lm: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The same token by token, (labelled,), without a gradient."""
    head, adjust = lm.get_output_embeddings(), logit_adjustment(lm.config)
    losses = []
    for states, answers in zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True):
        logits = head(states).float()
        losses.append(F.cross_entropy(adjust(logits) if adjust else logits, answers, reduction="none"))
    return torch.cat(losses)


def is_plain(head: torch.nn.Module) -> bool:
    """Whether the head is an ordinary linear layer: not wrapped by an adapter, not quantised."""
    return type(head) is torch.nn.Linear


def logit_adjustment(config: Any) -> Adjust | None:
    """What some architectures do to their logits: Gemma's soft cap, Cohere's scale, Granite's divisor."""
    text = config.get_text_config()
    cap = getattr(text, "final_logit_softcapping", None)
    scale = getattr(text, "logit_scale", None)
    divisor = getattr(text, "logits_scaling", None)
    if not cap and scale in (None, 1.0) and divisor in (None, 1.0):
        return None

    def adjust(logits: torch.Tensor) -> torch.Tensor:
        if divisor:
            logits = logits / divisor
        if scale:
            logits = logits * scale
        return torch.tanh(logits / cap) * cap if cap else logits

    return adjust


class _FrozenHead(torch.autograd.Function):
    """d loss / d hidden = (softmax(h W^T + b) - onehot) W, per token; see the module's docstring."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        chunk: int,
    ) -> torch.Tensor:
        compute = weight.dtype
        if torch.is_autocast_enabled(hidden.device.type):
            compute = torch.get_autocast_dtype(hidden.device.type)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wanted else None
        with torch.autocast(hidden.device.type, enabled=False):
            matrix, shift = weight.to(compute), None if bias is None else bias.to(compute)
            for start in range(0, len(targets), chunk):
                answers = targets[start : start + chunk]
                logits = F.linear(hidden[start : start + chunk].to(compute), matrix, shift).float()
                norm = torch.logsumexp(logits, -1)
                at = torch.arange(len(answers), device=hidden.device)
                total += (norm - logits[at, answers]).sum()
                if gradient is not None:
                    logits.sub_(norm[:, None]).exp_()
                    logits[at, answers] -= 1.0
                    gradient[start : start + chunk] = logits.to(compute) @ matrix
                del logits  # before those of the next chunk are made
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        # In fp32: rounding `upstream` (1 / labelled tokens, or a loss scale) would tilt the whole gradient.
        return (gradient.float() * upstream).to(gradient.dtype), None, None, None, None
