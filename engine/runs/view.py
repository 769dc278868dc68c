"""A run as a screen shows it: one frozen snapshot, kept up to date from its folder by reading only what is new."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import Problem, ProblemError
from engine.hardware.cgroups import kills_in
from engine.hardware.load import Load
from engine.runs.events import Event, EventReader
from engine.runs.folder import RunFolder
from engine.runs.history import History, Phase, problem_of
from engine.runs.lock import Place
from engine.runs.status import Status, died_by_reboot, judge

LOG_LINES = 100
PIECE = 1 << 20  # bytes of events that are read at a time
AGE_STEP = 10.0  # seconds: where only the heartbeat tells, its age is news this often
STEP_OF = {"merging": "merge", "proving": "merge", "answering": "answers"}  # all other phases belong to train


@dataclass(frozen=True)
class Snapshot:
    """What is known of a run. Do not change the dictionaries: they are shared with the view.

    losses, smoothed, evals: (optimiser step, loss); of a long run each stretch's smallest and largest (curve.py);
    smoothed is a debiased exponential mean. done, total: of the phase, in `unit`; eta: seconds, foretold at `stepped`.
    peak_bytes: of memory, on a GPU what was allocated there. facts: `log` events by `what`.
    problems: why it failed or crashed, the cause first. outcome: done, stopped, failed, or empty while it goes on.
    changes: `key=value` that was set beside the file. config: the run's config.yaml, empty where it cannot be read.
    load: what the worker takes right now, where the watcher asks for it; now: when that was, 0 where nobody asked.
    phases: those that were, and the one that goes on; once it is over all have ended.
    """

    run: str
    path: Path
    name: str
    status: Status
    steps: tuple[str, ...]
    step_now: str
    phase: str
    done: float
    total: float
    unit: str
    step: int
    steps_total: int
    epoch: float
    loss: float | None
    losses: tuple[tuple[int, float], ...]
    smoothed: tuple[tuple[int, float], ...]
    evals: tuple[tuple[int, float], ...]
    learning_rate: float | None
    tokens_per_second: float | None
    eta: float | None
    checkpoint: int | None
    peak_bytes: int | None
    facts: dict[str, dict[str, Any]]
    warnings: tuple[Problem, ...]
    samples: tuple[dict[str, Any], ...]
    proof: dict[str, Any] | None
    outputs: dict[str, str]
    problems: tuple[Problem, ...]
    log_tail: tuple[str, ...]
    outcome: str
    changes: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    load: Load | None = None
    now: float = 0.0
    stepped: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more will happen. Of a run on another machine that falls silent one cannot know."""
        return bool(self.outcome) or (not self.status.alive and self.status.state != "elsewhere")

    @property
    def left(self) -> float | None:
        """Seconds that the phase still takes: what was foretold at the last step, less what has passed since."""
        passed = self.now - self.stepped if self.now and self.stepped else 0.0
        return None if self.eta is None else max(0.0, self.eta - max(0.0, passed))

    @property
    def elapsed(self) -> float | None:
        """Seconds since the worker began, or that it took; None where nobody knows."""
        if not self.phases:
            return None
        end = self.phases[-1].ended or self.now
        return max(0.0, end - self.phases[0].began) if end else None


class RunView:
    """Follows one run folder. Cheap to ask when nothing changed; a folder that disappears is a crashed run."""

    def __init__(self, run: RunFolder, *, clock: Callable[[], float] = time.time, here: Place | None = None):
        self.run, self.clock, self.here = run, clock, here or Place.here()
        self.reader = EventReader(run.events_file)
        self._history = History()
        self._log: tuple[tuple[int, int], tuple[str, ...]] = ((-1, -1), ())
        self._shown: tuple[Any, ...] = ()
        self._snapshot: Snapshot | None = None
        self._config = _config(run)

    def catch_up(self, most: int = PIECE) -> Iterator[float]:
        """Read a long history in pieces, and after each say which share was read: `poll` then finds little new."""
        before = -1
        while (left := self._unread()) > most and self.reader.offset > before:
            before = self.reader.offset
            for event in self.reader.poll(most):
                self._history.take(event)
            yield self.reader.offset / (self.reader.offset + left)

    def poll(self) -> Snapshot:
        """The run now. The same object as before when nothing that can be seen has changed, heartbeat age aside."""
        events = self.reader.poll()
        for event in events:
            self._history.take(event)
        status = judge(self.run, self._history.tail(), here=self.here, clock=self.clock)
        age = int((status.heartbeat_age or 0) / AGE_STEP) if status.state == "elsewhere" else 0
        log = self._log_tail()
        outputs = self._history.outputs or self.run.outputs()
        shown = (replace(status, heartbeat_age=None), age, log, outputs)
        if events or shown != self._shown or self._snapshot is None:
            self._shown = shown
            self._snapshot = self._build(status, log, outputs)
        return self._snapshot

    def _unread(self) -> int:
        try:
            return os.stat(self.run.events_file).st_size - self.reader.offset  # noqa: PTH116 -- asked often
        except OSError:
            return 0

    def _build(self, status: Status, log: tuple[str, ...], outputs: dict[str, str]) -> Snapshot:
        past = self._history
        steps = past.steps or _texts(self._config.get("steps"))
        over = past.closing is not None or not status.alive
        training = past.phase == "training" and not over
        return Snapshot(
            run=self.run.id,
            path=self.run.path,
            name=str(self._config.get("name", self.run.id)),
            status=status,
            steps=steps,
            step_now=STEP_OF.get(past.phase, "train") if past.phase else (steps or ("train",))[0],
            phase=past.phase,
            done=past.done,
            total=past.total,
            unit=past.unit,
            step=past.step,
            steps_total=past.steps_total,
            epoch=past.epoch,
            loss=past.loss,
            losses=past.losses.points(),
            smoothed=past.smoothed.points(),
            evals=tuple(past.evals),
            learning_rate=past.learning_rate,
            tokens_per_second=past.tokens_per_second if training else None,
            eta=past.eta if training else None,
            checkpoint=past.checkpoint,
            peak_bytes=peak_bytes(past.facts),
            facts=dict(past.facts),
            warnings=tuple(past.warnings),
            samples=tuple(past.samples),
            proof=past.proof,
            outputs=outputs,
            problems=problems(self.run, status, past.closing, self.here),
            log_tail=log,
            outcome=_outcome(past.closing),
            changes=_texts(self._config.get("overrides")),
            config=self._config,
            stepped=past.stepped,
            phases=past.phases_until(past.last if over and status.state != "elsewhere" else None),
        )

    def _log_tail(self) -> tuple[str, ...]:
        try:
            found = os.stat(self.run.log_file)  # noqa: PTH116 -- asked often
        except OSError:
            return ()
        now = (found.st_size, found.st_mtime_ns)
        if now != self._log[0]:
            self._log = (now, tuple(self.run.log_tail(LOG_LINES)))
        return self._log[1]


def problems(run: RunFolder, status: Status, closing: Event | None, here: Place) -> tuple[Problem, ...]:
    """Why a run failed or crashed, the cause first; none of a run that did neither."""
    if closing is not None:
        return (
            tuple(problem_of(raw) for raw in (closing, *closing.get("also", ()))) if closing["type"] == "failed" else ()
        )
    if status.state != "crashed":
        return ()
    log, state = str(run.log_file), run.state()
    if not state.get("how") and died_by_reboot(run, here):
        return (Problem("crashed_reboot", {"log": log}),)
    killed = _kernel_killed(state)
    if killed and state.get("how", "SIGKILL") == "SIGKILL":
        return (Problem("crashed_memory", {"log": log}),)
    if state.get("how"):
        return (Problem("crashed", {"how": state["how"], "log": log}),)
    return (Problem("crashed_unseen" if killed is None else "crashed_otherwise", {"log": log}),)


def _kernel_killed(state: dict[str, Any]) -> bool | None:
    """Whether the kernel has killed for want of memory since the worker began; None where that is not counted."""
    counted = state.get("kills")
    if not isinstance(counted, dict):
        return None
    now, before = kills_in(Path(str(counted.get("file")))), counted.get("count")
    return now > before if isinstance(before, int) and now is not None else None


def _outcome(closing: Event | None) -> str:
    if closing is None:
        return ""
    return "failed" if closing["type"] == "failed" else str(closing.get("outcome", "done"))


def peak_bytes(facts: dict[str, dict[str, Any]]) -> int | None:
    """Of memory, out of a run's facts; on a GPU what was allocated there."""
    peak = facts.get("memory", {}).get("peak_bytes")
    if not isinstance(peak, dict):
        return None
    found: int | None = peak.get("allocated", peak.get("resident"))
    return found


def _texts(found: Any) -> tuple[str, ...]:
    return tuple(map(str, found)) if isinstance(found, list | tuple) else ()


def _config(run: RunFolder) -> dict[str, Any]:
    """The run's config.yaml; empty where it cannot be read."""
    try:
        found = run.config()
    except (OSError, ProblemError):
        return {}
    return found if isinstance(found, dict) else {}
