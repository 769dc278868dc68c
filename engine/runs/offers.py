"""Single ways on from a failure, in the words that suit the run: what each of them is called, and what it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import Problem
from engine.memory.remedies import yaml_value
from engine.runs.actions import Answers, Command, Edit, Fix, Row
from engine.runs.retry import Retry, fits_checkpoints
from engine.runs.view import Snapshot
from engine.text import NOTHING, Phrase, verbatim


@dataclass(frozen=True)
class Case:
    """Why there is no more of a run, the cause first. seen: the run that it ended; None where none could be started.

    train: the resolved training keys. file: the config that says so.
    """

    problems: Sequence[Problem]
    seen: Snapshot | None = None
    train: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""

    @property
    def problem(self) -> Problem:
        """The one whose ways on are looked for."""
        return self.problems[0]

    @property
    def training(self) -> bool:
        """Whether it came in the way of training."""
        return self.seen is None or self.seen.step_now == "train"


def saved(seen: Snapshot | None) -> int | None:
    """The step that a run goes on from; None where nothing was saved."""
    if seen is None:
        return None
    resumed: int | None = seen.facts.get("resumed", {}).get("step")
    return seen.checkpoint if seen.checkpoint is not None else resumed


def resume(seen: Snapshot | None, why: Phrase = NOTHING) -> Fix:
    """The same again, from where its work was saved."""
    step = saved(seen)
    if seen is None:
        label = Phrase("Start again")
    elif seen.step_now != "train":
        label = Phrase("Try again: what was trained is kept")
    elif step is None:
        label = Phrase("Try again from the beginning")
    else:
        label = Phrase("Go on from step {step}", {"step": step})
    return Fix(label, why, Retry())


def with_settings(case: Case, settings: Mapping[str, Any], why: Phrase = NOTHING) -> Fix:
    """Again with training keys set anew; the label says whether the work so far stays of use."""
    values = {"settings": ", ".join(f"{name}: {yaml_value(value)}" for name, value in settings.items())}
    step = saved(case.seen)
    if step is None:
        label = Phrase("Try again with {settings}", values)
    elif fits_checkpoints(case.train, settings):
        label = Phrase("Go on from step {step} with {settings}", {"step": step, **values})
    else:
        label = Phrase("Begin anew with {settings}", values)
        aside = Phrase("What was there is kept aside.")
        why = Phrase("{why} {aside}", {"why": why, "aside": aside}) if why.text else aside
    return Fix(label, why, Retry(settings))


def smaller(why: Phrase = NOTHING) -> Fix:
    """Again with whatever saves the most memory for the least."""
    why = why if why.text else Phrase("Settings are changed for it: those first that leave the result the same.")
    return Fix(Phrase("Try again with less memory"), why, Retry(smaller=True))


def edit(key: str, value: Any = None, why: Phrase = NOTHING) -> Fix:
    """Ask for a training key again."""
    return Fix(Phrase("Change {key} in your answers", {"key": key}), why, Edit(key, value))


def to_answers(step: str, why: Phrase = NOTHING) -> Fix:
    """Back to a step of the wizard."""
    labels = {
        "hardware": Phrase("Choose another device"),
        "model": Phrase("Choose another model"),
        "data": Phrase("Choose other data, or other columns of it"),
        "review": Phrase("Back to your answers, which are all kept"),
    }
    return Fix(labels[step], why, Answers(step))


def command(label: Phrase, line: str) -> Fix:
    """Something to type."""
    return Fix(label, verbatim(line), Command(line))


def rows(problems: Iterable[Problem]) -> list[Fix]:
    """The first places that the problems name."""
    found = []
    for problem in problems:
        if problem.file and problem.line:
            values = {"line": problem.line, "file": Path(problem.file).name}
            row = Row(problem.file, problem.line)
            found.append(Fix(Phrase("Show line {line} of {file}", values), verbatim(problem.place), row))
    return found[:2]
