"""One figure for a job: the plan that a run would choose, and what that plan needs by the best level there is.

Plans are chosen by the fast figure, which is there at once and is calibrated by what this machine has measured, as the
run chooses them. Where the traced figure of the chosen plan says otherwise, which the run's probe would find out, what
varies is scaled to it and the plan chosen again. A fast figure that measurements have raised above the traced
one stands: it has been seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.errors import EnvironmentProblem, Problem, RunError
from engine.memory.case import Case, evaluation_bytes, look
from engine.memory.fast import fast_estimate
from engine.memory.job import Estimate, Parts, Recipe, StepPlan
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


def settle(case: Case, shape: ModelShape, config: Mapping[str, Any], *, trace: Trace | None) -> Settled:
    """Of a job on a model of `shape` with this config.json, its `factor` that of this machine. trace: None for the fast

    figure alone; where a step cannot be traced, a problem says why.
    """
    free, factor, problems = case.free, case.factor, tuple[Problem, ...]()
    for _ in range(ROUNDS):
        outcome = look(case)
        plain = fast_estimate(shape, outcome.recipe, outcome.plan)
        estimate = calibrated(plain, factor)
        if trace is not None:
            try:
                traced = trace(config, outcome.recipe, outcome.plan)
            except (RunError, EnvironmentProblem) as error:
                trace = None
                problems = tuple(replace(problem, severity="note") for problem in error.problems)
            else:
                estimate = estimate if factor > 1 and estimate.needed > traced.needed else traced
        more = _standing(estimate.parts) - _standing(plain.parts)
        scale = _working(estimate.parts) / (_working(plain.parts) or 1)
        case = replace(case, factor=scale, free=free - more)
        measuring = evaluation_bytes(case, outcome.plan)
        evaluation = measuring + more if measuring else 0
        verdict = verdict_of(max(estimate.needed, evaluation), estimate, free)
        if trace is None or outcome.fits == (verdict == "fits"):
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


def _working(parts: Parts) -> int:
    """What a plan moves."""
    return parts.activations + parts.head


def _standing(parts: Parts) -> int:
    """What no plan changes, or little."""
    return parts.total - _working(parts)
