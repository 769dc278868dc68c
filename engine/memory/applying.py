"""--fit: the fewest changes that make a job fit, as overrides, before its plan is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EnvironmentProblem, Problem
from engine.hardware import GIB
from engine.memory.forecast import Forecast, Machine, forecast
from engine.memory.remedies import Change
from engine.runs.events import Event

ROUNDS = 3  # a change is chosen by the fast figure and judged by the traced one


@dataclass(frozen=True)
class Applied:
    """What was changed, none where the job fits; `overrides` are theirs. before, after: the forecasts."""

    changes: tuple[Change, ...]
    overrides: tuple[str, ...]
    before: Forecast
    after: Forecast


def make_fit(
    file: Path,
    overrides: Sequence[str] = (),
    *,
    machine: Machine | None = None,
    count: bool = True,
    listen: Callable[[Event], None] = lambda event: None,
    cwd: Path | None = None,
) -> Applied:
    """The changes of a config with which its job fits. A job that only may not fit gets exact ones, or none.

    Raises ConfigError as `forecast`, EnvironmentProblem nothing_fits where no changes suffice.
    """
    machine = machine or Machine.here()
    before = found = forecast(file, overrides, machine=machine, count=count, listen=listen, cwd=cwd)
    made: list[Change] = []
    new: list[str] = []
    for _ in range(ROUNDS):
        if not found.fit or not found.fit.fits or not found.fit.changes:
            break
        made += found.fit.changes
        new += found.overrides(found.fit.overrides)
        found = forecast(file, [*overrides, *new], machine=machine, count=count, listen=listen, cwd=cwd)
    if found.verdict == "no":
        least = found.fit.outcome.least if found.fit else found.needed
        params = {"needed": round(least / GIB, 1), "free": round(found.device.free / GIB, 1)}
        raise EnvironmentProblem(Problem("nothing_fits", params | {"smaller": list(found.smaller) or "-"}))
    return Applied(tuple(made), tuple(new), before, found)
