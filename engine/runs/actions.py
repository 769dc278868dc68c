"""Ways on from a run that did not end well, as values: what each does, why, and how it is done at a shell."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from engine.config.schema import TrainConfig, fields
from engine.runs.retry import Retry
from engine.text import Phrase


@dataclass(frozen=True)
class Edit:
    """Ask for a training key again, or for another question of the wizard. value: what to suggest, None where that is

    not known.
    """

    key: str
    value: Any = None


@dataclass(frozen=True)
class Answers:
    """Back to a step of the wizard: hardware, model, data or review."""

    step: str


@dataclass(frozen=True)
class Row:
    """Look at a line of a file, from 1."""

    file: str
    line: int


@dataclass(frozen=True)
class Command:
    """Something to do at a shell."""

    line: str


@dataclass(frozen=True)
class Disk:
    """See what takes room and can be deleted."""


@dataclass(frozen=True)
class Log:
    """Read all of the log."""


@dataclass(frozen=True)
class Page:
    """Read about this kind of failure. name: of its page."""

    name: str


@dataclass(frozen=True)
class Watch:
    """Watch another run. run: its id."""

    run: str


Action = Retry | Edit | Answers | Row | Command | Disk | Log | Page | Watch


@dataclass(frozen=True)
class Fix:
    """One way on: what it does, why it may help, and how it is done."""

    label: Phrase
    why: Phrase
    action: Action


def command_of(fix: Fix, run: str, file: str = "") -> str:
    """The same at a shell; for a row its place; empty where only the wizard asks it. file: the config that the run was

    started with.
    """
    action = fix.action
    match action:
        case Retry():
            return action.command(run)
        case Edit() if action.key not in fields(TrainConfig):
            return ""
        case Edit():
            if action.value is not None:
                return Retry({action.key: action.value}).command(run)
            return f"sft-wizard resume {shlex.quote(run)} --set {action.key}=…"
        case Answers("data"):
            return shlex.join(["sft-wizard", "data", "check", file])
        case Answers("model"):
            return f"sft-wizard resume {shlex.quote(run)} --set model_name_or_path=…"
        case Answers():
            return "sft-wizard"
        case Row():
            return f"{action.file}:{action.line}"
        case Command():
            return action.line
        case Disk():
            return "sft-wizard runs"
        case Log():
            return shlex.join(["sft-wizard", "logs", run])
        case Page():
            return f"sft-wizard explain {action.name}"
        case Watch():
            return shlex.join(["sft-wizard", "attach", action.run])
