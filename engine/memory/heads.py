"""The output head and the loss: what they keep, and what they take in passing, in bytes. See engine/train/head.py."""

from __future__ import annotations

from dataclasses import dataclass

from engine.memory.activations import EXACT, Widths
from engine.memory.job import Recipe, StepPlan
from engine.memory.shape import ModelShape


@dataclass(frozen=True)
class HeadCosts:
    """Per token: kept, from the last layer to backward; start, what the first piece of backward takes beyond that.

    Per vocabulary entry and position whose logits exist: forward, backward. whole: casts of the matrix. gradient: of
    the matrix, while that of another chunk is made; waiting: where embedding and head are one matrix that learns, until
    the embedding's comes at the end; last: of the embedding.
    """

    kept: float
    start: float
    forward: float
    backward: float
    whole: float
    gradient: float
    waiting: float
    last: float
    vocab: int
    packed: bool

    def positions(self, plan: StepPlan) -> int:
        """Positions whose logits exist at a time."""
        return min(plan.chunk, plan.row_tokens) if self.packed else plan.row_tokens

    def at_forward(self, plan: StepPlan) -> float:
        """In passing, at the end of forward."""
        return self.whole + self.positions(plan) * self.vocab * self.forward

    def at_backward(self, plan: StepPlan) -> float:
        """In passing, at the beginning of backward."""
        return self.gradient + self.positions(plan) * self.vocab * self.backward


def head_costs(shape: ModelShape, recipe: Recipe) -> HeadCosts:
    """Of the packed step's head in chunks, or of logits at every position where micro-batches are padded."""
    w = Widths.of(recipe)
    hidden, matrix = shape.hidden, shape.embedding
    in_full = recipe.method == "full" or "lm_head" in recipe.saved
    width = w.trained if in_full else w.base
    cast = w.compute if w.autocast and w.compute != width else 0
    # The final norm keeps its input in fp32; the hidden states of labelled positions are gathered.
    kept = EXACT * hidden + (w.between * hidden if recipe.packed else 0)
    # log-softmax keeps its output (4); backward makes its gradient (4) and that of the logits (4). A cap
    # keeps what its tanh gives, in fp32 in our head and as it comes in the model's own.
    backward = 3.0 * EXACT + ((EXACT if recipe.packed else w.compute) if shape.capped else 0)
    forward = backward - EXACT + (0 if recipe.packed else w.compute)
    if recipe.packed and not recipe.trains_head and not shape.adjusted:
        # Logits in fp32 and what logsumexp takes inside.
        kept += w.between * hidden
        forward, backward = 2.0 * EXACT, 0.0
    return HeadCosts(
        kept=kept,
        # Backward of the final norm: five tensors in fp32 as wide as the hidden states.
        start=5.0 * EXACT * hidden,
        forward=forward,
        backward=backward,
        whole=float(cast * matrix),
        gradient=float(w.trained * matrix) if in_full else float(cast * matrix),
        waiting=float(w.trained * matrix) if in_full and shape.tied and recipe.method != "lora" else 0.0,
        last=float(w.trained * matrix) if recipe.trains_embedding else 0.0,
        vocab=shape.vocab,
        packed=recipe.packed,
    )
