"""What the events of a run tell, taken in one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from engine.errors import Problem
from engine.runs.curve import Curve
from engine.runs.events import Event
from engine.runs.status import Tail

SMOOTHING = 0.9  # of the running mean over losses; TensorBoard's slider shows the same curve at this value


@dataclass(frozen=True)
class Phase:
    """A phase of a run, by the worker's clock. name: empty before the first. ended: None while it goes on."""

    name: str
    began: float
    ended: float | None = None

    def seconds(self, now: float) -> float:
        """How long it took, or takes so far."""
        return max(0.0, (now if self.ended is None else self.ended) - self.began)


class History:
    """Everything that the events of a run tell, one event at a time.

    last: when the newest of them was written; stepped: when the newest step was.
    """

    def __init__(self) -> None:
        self.steps: tuple[str, ...] = ()
        self.phase, self.unit = "", ""
        self.done = self.total = self.epoch = 0.0
        self.step = self.steps_total = 0
        self.loss: float | None = None
        self.losses, self.smoothed = Curve(), Curve()
        self.evals: list[tuple[int, float]] = []
        self.learning_rate: float | None = None
        self.tokens_per_second: float | None = None
        self.eta: float | None = None
        self.stepped = 0.0
        self.checkpoint: int | None = None
        self.facts: dict[str, dict[str, Any]] = {}
        self.warnings: list[Problem] = []
        self.samples: list[dict[str, Any]] = []
        self.proof: dict[str, Any] | None = None
        self.outputs: dict[str, str] = {}
        self.closing: Event | None = None
        self.last = 0.0
        self._phases: list[Phase] = []
        self._mean = 0.0

    def tail(self) -> Tail:
        """The part that a run's status needs."""
        return Tail(self.step, self.steps_total, self.loss, self.closing)

    def phases_until(self, end: float | None) -> tuple[Phase, ...]:
        """All phases; the last one ended at `end`, or goes on."""
        if end is None or not self._phases:
            return tuple(self._phases)
        *before, last = self._phases
        return (*before, replace(last, ended=max(end, last.began)))

    def take(self, event: Event) -> None:
        """Note one event. Types and members that are not known are ignored; ones that are missing show as nothing."""
        self.last = _time(event) or self.last
        match event["type"]:
            case "step":
                self._take_step(event)
            case "progress":
                self.done, self.total = event.get("done", 0), event.get("total", 0)
                self.unit = event.get("unit", "")
            case "phase":
                self.phase, self.unit = str(event.get("name", "")), ""
                self.done = self.total = 0.0
                self._enter(self.phase)
                if self.phase == "training":
                    self.step, self.steps_total = event.get("step", 0), event.get("total", 0)
                    self.done, self.total, self.unit = self.step, self.steps_total, "steps"
            case "log":
                self.facts[str(event.get("what"))] = event
            case "eval":
                if event.get("loss") is not None:
                    self.evals.append((event.get("step", 0), event["loss"]))
            case "checkpoint":
                self.checkpoint = event.get("step")
            case "warning":
                self.warnings.append(problem_of(event))
            case "sample":
                self.samples.append(event)
            case "proof":
                self.proof = event
            case "run_started":
                self.steps = tuple(event.get("steps", ()))
                self._enter("")
            case "finished" | "failed":
                self.closing, self.outputs = event, event.get("outputs") or {}

    def _enter(self, name: str) -> None:
        if self._phases:
            self._phases[-1] = replace(self._phases[-1], ended=self.last)
        self._phases.append(Phase(name, self.last))

    def _take_step(self, event: Event) -> None:
        self.step, self.steps_total = event.get("step", 0), event.get("total", 0)
        self.done, self.total, self.unit = self.step, self.steps_total, "steps"
        self.loss, self.learning_rate = event.get("loss"), event.get("lr")
        self.epoch = event.get("epoch") or 0.0
        self.tokens_per_second, self.eta = event.get("tokens_per_second"), event.get("eta")
        self.stepped = self.last
        if self.loss is not None:
            self.losses.add(self.step, self.loss)
            # Kingma and Ba 2015, section 3: divided by what the weights so far add up to.
            self._mean = SMOOTHING * self._mean + (1 - SMOOTHING) * self.loss
            self.smoothed.add(self.step, self._mean / (1 - SMOOTHING**self.losses.count))


def problem_of(raw: dict[str, Any]) -> Problem:
    """An event that is a problem; one of a newer version may lack its code."""
    return Problem.from_dict({"code": "internal", **raw})


def _time(event: Event) -> float:
    found = event.get("t")
    return found if isinstance(found, int | float) else 0.0
