"""The plan of a step: the fastest choice of row length, recomputed layers and head chunk that fits into free memory.

Every choice is exact, so only time is weighed. The model of time, in forward passes of one token through all layers:

    step = tokens · (1 + backward + recompute / layers) · (1 + 0.01 · halvings of the chunk) + rows · launch

- backward is 1 where weights are frozen (LoRA: 2N flops per token forward, 2N backward for the inputs alone) and 2
  where all learn (full: 4N). Recomputing all layers is one forward more: +50 % for LoRA, +33 % for full.
- launch and the 1 % are assumptions, not measurements: on a GPU a micro-batch costs as much as 256 tokens more, for
  launching its kernels and for what a small one leaves idle, on a processor nothing; a step loses 1 % with each halving
  of the head's chunk.
- rows is the mean optimiser step divided by the tokens in a row: what packing leaves empty is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from engine.memory.job import CHUNK, DataShape, Parts, Recipe, StepPlan

MARGIN = 0.1  # of what is needed: the error of the fast estimate
LAUNCH = {"cuda": 256, "cpu": 0}  # tokens; see above
CHUNK_COST = 0.01
CHUNKS = (CHUNK, CHUNK // 2, CHUNK // 4)
GRAIN = 256  # row lengths are multiples, so that a little more free memory packs the samples alike


class Costs(Protocol):
    """What planning needs of `engine.memory.fast.StepCosts`: parts that grow with the row and shrink with each

    layer that recomputes.
    """

    def parts(self, plan: StepPlan) -> Parts:
        """Where the memory goes with this plan."""


def choose_plan(
    costs: Costs,
    recipe: Recipe,
    data: DataShape,
    *,
    batch: int,
    accumulation: int,
    layers: int,
    free: int,
    margin: float = MARGIN,
) -> StepPlan | None:
    """The fastest plan whose need, `margin` of it added, is at most `free` bytes; None where there is none.

    batch, accumulation: the config's samples a micro-batch, and micro-batches a step. A row has at least the tokens of
    the longest sample and at most those of a whole step of such samples; on a processor, which gains nothing from long
    rows, those of `batch` of them. Padded micro-batches stay as they are. More free memory never gives a slower plan.
    """

    def fits(plan: StepPlan) -> bool:
        return costs.parts(plan).total * (1 + margin) <= free

    def fits_as(depth: int, chunk: int, row: int) -> bool:
        return fits(StepPlan(row, depth, chunk))

    longest = max(1, data.longest)
    if not recipe.packed:
        plans = (StepPlan(recipe.micro_batch * longest, depth) for depth in _depths(recipe, layers))
        return next((plan for plan in plans if fits(plan)), None)
    most = batch * longest * (accumulation if recipe.kind == "cuda" else 1)
    tokens = step_tokens(data, batch, accumulation)
    best: tuple[float, StepPlan] | None = None
    depths = _depths(recipe, layers)
    for depth in depths[_first(depths, lambda depth: fits(StepPlan(longest, depth, CHUNKS[-1]))) :]:
        for chunk in CHUNKS:
            if best and step_time(StepPlan(most, depth, chunk), recipe, layers, tokens) >= best[0]:
                break  # even with the fewest rows, and the next chunk is slower still
            row = _largest(longest, most, partial(fits_as, depth, chunk))
            if row is None:
                continue
            plan = StepPlan(row, depth, chunk)
            time = step_time(plan, recipe, layers, tokens)
            if best is None or time < best[0]:
                best = time, plan
    return best[1] if best else None


def leanest_plan(costs: Costs, recipe: Recipe, data: DataShape, *, layers: int) -> StepPlan:
    """The plan that needs least: what is said of a job that does not fit."""
    longest = max(1, data.longest)
    row, chunk = (longest, CHUNKS[-1]) if recipe.packed else (recipe.micro_batch * longest, CHUNK)
    depths = _depths(recipe, layers)
    ends = (StepPlan(row, depths[0], chunk), StepPlan(row, depths[-1], chunk))
    return min(ends, key=lambda plan: costs.parts(plan).total)


def step_tokens(data: DataShape, batch: int, accumulation: int) -> float:
    """Tokens of a mean optimiser step; of the longest one where the data were not counted."""
    mean = data.tokens / data.samples if data.counted and data.samples else data.longest
    return batch * accumulation * mean


def step_time(plan: StepPlan, recipe: Recipe, layers: int, tokens: float) -> float:
    """Of an optimiser step of `tokens`, in forward passes of one token; see the module's docstring."""
    backward = 2 if recipe.method == "full" else 1
    halvings = (CHUNK // plan.chunk).bit_length() - 1
    rows = max(1.0, tokens / plan.row_tokens)
    return tokens * (1 + backward + plan.recompute / layers) * (1 + CHUNK_COST * halvings) + rows * LAUNCH[recipe.kind]


def _depths(recipe: Recipe, layers: int) -> Sequence[int]:
    """How many layers may recompute, fewest first."""
    if recipe.all_recompute is None:
        return range(layers + 1)
    return (layers,) if recipe.all_recompute else (0,)


def _first(depths: Sequence[int], fits: Callable[[int], bool]) -> int:
    """Where the first depth that fits stands; behind the end where none does. From 1 layer on, deeper is leaner."""
    if fits(depths[0]):
        return 0
    low, high = 0, len(depths)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(depths[middle]) else (middle, high)
    return high


def _largest(least: int, most: int, fits: Callable[[int], bool]) -> int | None:
    """The longest row that fits of `least`, `most` and the multiples of GRAIN between; None where `least` does not."""
    if fits(most):
        return most
    if not fits(least):
        return None
    low, high = least // GRAIN, -(-most // GRAIN)  # of multiples: the first counts as `least`, the last as `most`
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle * GRAIN) else (low, middle)
    return max(least, low * GRAIN)
