"""The output head and the loss: what they keep, and what they take in passing, in bytes. See engine/train/head.py."""

from __future__ import annotations

from dataclasses import dataclass

from engine.memory.activations import EXACT, Widths
from engine.memory.job import Recipe, StepPlan
from engine.memory.shape import ModelShape


@dataclass(frozen=True)
class HeadCosts:
    """Per token: kept, from the last layer to backward; start, what the first piece of backward takes beyond that.

    Per vocabulary entry and position whose logits exist: forward (forward_many where there are several chunks),
    backward. whole: casts of the matrix; passing: its gradient.
    """

    kept: float
    start: float
    forward: float
    forward_many: float
    backward: float
    whole: float
    passing: float
    vocab: int
    packed: bool

    def positions(self, plan: StepPlan) -> int:
        """Positions whose logits exist at a time."""
        return min(plan.chunk, plan.row_tokens) if self.packed else plan.row_tokens

    def at_forward(self, plan: StepPlan) -> float:
        """In passing, at the end of forward."""
        several = self.packed and plan.row_tokens > plan.chunk
        return self.positions(plan) * self.vocab * (self.forward_many if several else self.forward)

    def at_backward(self, plan: StepPlan) -> float:
        """In passing, at the beginning of backward."""
        return self.positions(plan) * self.vocab * self.backward + self.passing


def head_costs(shape: ModelShape, recipe: Recipe) -> HeadCosts:
    """Of the packed step's head in chunks, or of logits at every position where micro-batches are padded."""
    w = Widths.of(recipe)
    hidden = shape.hidden
    trains = recipe.method == "full" or "lm_head" in recipe.saved or "lm_head" in recipe.targets
    frozen = recipe.packed and not trains and not shape.adjusted
    cast = w.compute if w.autocast and w.compute != (w.trained if trains else w.base) else 0
    # The final norm keeps its input in fp32; the hidden states of labelled positions are gathered.
    kept = EXACT * hidden + (w.between * hidden if recipe.packed else 0)
    passing = float((w.trained + w.compute) * shape.embedding) if trains else 0.0
    # Backward of the final norm: five tensors in fp32 as wide as the hidden states.
    start = 5.0 * EXACT * hidden
    steps = {"vocab": shape.vocab, "packed": recipe.packed, "whole": float(cast * shape.embedding), "passing": passing}
    if frozen:
        # Logits in the compute dtype and in fp32; those of the chunk before are let go only after.
        wide = float(w.compute + EXACT if w.compute < EXACT else EXACT)
        return HeadCosts(kept + w.between * hidden, start, wide + w.compute, wide + EXACT, 0.0, **steps)
    # log-softmax keeps its output (4); backward makes its gradient (4) and that of the logits (4).
    more = (2 * EXACT if shape.adjusted else 0) + w.compute
    if recipe.packed:
        return HeadCosts(kept, start, 2.0 * EXACT + more, 2.0 * EXACT + more, 3.0 * EXACT + more, **steps)
    return HeadCosts(kept, start, 2.0 * EXACT + more, 2.0 * EXACT + more, 3.0 * EXACT + more, **steps)
