"""The answers of a wizard that was left, kept until its run is started: one draft a user."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.storage import state_folder, write_json
from engine.wizard.questions import Kind
from engine.wizard.session import Wizard
from engine.wizard.steps import Step, step
from engine.wizard.table import table

VERSION = 1


@dataclass(frozen=True)
class Draft:
    """answers: as in Wizard. step: id of the step that was reached. cwd: where the wizard was started. kept: when,
    Unix time."""

    answers: dict[str, Any]
    step: str
    cwd: Path
    started: bool = False
    kept: float = field(default=0.0, compare=False)

    def wizard(self) -> Wizard:
        """A wizard that goes on from here; answers that this version does not know or take are dropped."""
        fresh = Wizard(self.cwd)
        wizard = Wizard(self.cwd, {name: value for name, value in self.answers.items() if _fits(fresh, name, value)})
        wizard.started = self.started
        return wizard


def _fits(wizard: Wizard, name: str, value: Any) -> bool:
    """Whether a value has the type of its question; whether it still holds is for the question's own check.

    The choices of GPUs, models, data and columns are found out later; of others the value has to be one.
    """
    question = table().get(name)
    if question and question.kind == "choice" and name not in ("gpu", "model", "data") and not name.startswith("map_"):
        return value in [choice.value for choice in question.choices(wizard)]
    kinds: dict[Kind, tuple[type, ...]] = {
        "choice": (str, int, float),
        "text": (str,),
        "path": (str,),
        "integer": (int,),
        "number": (int, float),
        "switch": (bool,),
    }
    return question is not None and (isinstance(value, kinds[question.kind]) or (value is None and question.optional))


def path() -> Path:
    """Where it is kept."""
    return state_folder() / "draft.json"


def save(wizard: Wizard, reached: Step) -> None:
    """Keep the answers. A disk that is full does not end the wizard."""
    raw = {"version": VERSION, "answers": wizard.answers, "step": reached.id, "cwd": str(wizard.cwd)}
    with contextlib.suppress(OSError):
        write_json(path(), raw | {"started": wizard.started})


def load() -> Draft | None:
    """The draft; None where there is none, or none that can be used."""
    try:
        raw, kept = json.loads(path().read_text(encoding="utf-8")), path().stat().st_mtime
        if raw["version"] != VERSION or not raw["answers"]:
            return None
        reached = step(raw["step"])
        at = reached.id if reached.asks else "review"  # of a run there is nothing to go on with
        draft = Draft(dict(raw["answers"]), at, Path(raw["cwd"]), bool(raw["started"]), kept)
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        return None
    return draft if draft.cwd.is_dir() else None


def drop() -> None:
    """Its run was started, or a person does not want it."""
    with contextlib.suppress(OSError):
        path().unlink(missing_ok=True)
