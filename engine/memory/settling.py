"""One figure for a job: the plan that a run would choose, and what that plan needs by the best level there is.

Plans are chosen by the fast figure, which is there at once and is calibrated by what this machine has measured. Where
the traced one of the chosen plan says otherwise, what may be needed is scaled by their ratio and chosen again. A fast
figure that measurements have raised above the traced one stands: it has been seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.errors import EnvironmentProblem, Problem, RunError
from engine.memory.case import Case, Outcome, look
from engine.memory.fast import fast_estimate
from engine.memory.job import Estimate, Recipe, StepPlan
from engine.memory.shape import ModelShape

Verdict = Literal["fits", "tight", "no"]
Trace = Callable[[Mapping[str, Any], Recipe, StepPlan], Estimate]
ROUNDS = 3  # plans tried until both figures agree on the verdict


@dataclass(frozen=True)
class Settled:
    """The answer. evaluation: bytes that measuring needs where it is more than training, else 0.

    case: the job with what it may need by the fast figure, for the changes that would make it fit.
    """

    estimate: Estimate
    evaluation: int
    verdict: Verdict
    case: Case
    problems: tuple[Problem, ...] = ()


def settle(
    case: Case, shape: ModelShape, config: Mapping[str, Any], *, trace: Trace | None, factor: float = 1.0
) -> Settled:
    """Of a job on a model of `shape` with this config.json. trace: None for the fast figure alone; where a step cannot

    be traced, a problem says why. factor: what `case.costing` multiplies activations and head by.
    """
    free, problems = case.free, tuple[Problem, ...]()
    for _ in range(ROUNDS):
        outcome = _best(case)
        fast = calibrated(fast_estimate(shape, outcome.recipe, outcome.plan), factor)
        estimate = fast
        if trace is not None:
            try:
                traced = trace(config, outcome.recipe, outcome.plan)
            except (RunError, EnvironmentProblem) as error:
                trace = None
                problems = tuple(replace(problem, severity="note") for problem in error.problems)
            else:
                estimate = fast if factor > 1 and fast.needed > traced.needed else traced
        ratio = estimate.needed / fast.needed
        evaluation = round(outcome.evaluation * ratio)
        verdict = verdict_of(max(estimate.needed, evaluation), estimate, free)
        case = replace(case, free=int(free / ratio))
        if trace is None or outcome.fits == (verdict != "no"):
            break
    return Settled(estimate, evaluation, verdict, case, problems)


def verdict_of(needed: int, estimate: Estimate, free: int) -> Verdict:
    """Whether `needed` bytes are free: tight where the error of the figure decides."""
    if needed > free:
        return "no"
    return "fits" if needed + estimate.error * estimate.parts.allocated <= free else "tight"


def calibrated(estimate: Estimate, factor: float) -> Estimate:
    """With activations and head times `factor`, as `calibration.Calibrated` has them."""
    if factor == 1.0:
        return estimate
    activations, head = (round(size * factor) for size in (estimate.parts.activations, estimate.parts.head))
    return replace(estimate, parts=replace(estimate.parts, activations=activations, head=head), factor=factor)


def _best(case: Case) -> Outcome:
    """The fastest plan that fits with the margin, else without it, else the leanest."""
    outcome = look(case)
    if outcome.fits:
        return outcome
    tight = look(replace(case, margin=0.0))
    return tight if tight.fits else outcome
