"""A start that was refused before there was a run: the ways on that these answers allow, and what one does to them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import Problem
from engine.project import train_values
from engine.runs.actions import Answers, Edit, Fix, Log, command_of
from engine.runs.causes import has_ways
from engine.runs.fixes import as_many_as_keys, start_fixes
from engine.runs.offers import to_answers
from engine.runs.retry import Retry
from engine.storage import state_folder
from engine.wizard.asks.review import another_folder
from engine.wizard.columns import mapping_problems
from engine.wizard.desk import LOG
from engine.wizard.inspection import can_be_forced, ruin
from engine.wizard.session import Wizard
from engine.wizard.table import table

_LOOKED_AT = ("model", "hub", "data", "check")  # what may be another one when it is tried again


def ways_from(wizard: Wizard, problems: Sequence[Problem]) -> list[Fix]:
    """What can be done about these, the likeliest first. Ways that need an answer nobody is asked for are left out."""
    values = train_values(wizard.project(replace=False), wizard.preset())
    found = start_fixes(problems, values, str(config_file(wizard)) if is_written(wizard) else "")
    if not has_ways(problems[0].code):  # an answer that is missing or wrong: where it is asked for
        steps = [to_answers(step) for step in ("model", "data") if wizard.problems(step)]
        found = [*steps, *(fix for fix in found if fix not in steps)]
        if _refused_again(wizard, problems[0]):
            found = [fix for fix in found if fix.action != Retry()]
    return as_many_as_keys([fix for fix in found if _possible(wizard, fix)])


def question_of(key: str) -> str:
    """The id of the question about a training key, or of another one; empty where there is none."""
    return next((name for name in (f"train.{key}", key) if name in table()), "")


def suggestion(wizard: Wizard, edit: Edit) -> Any:
    """What to fill in where it is asked again."""
    return another_folder(wizard) if edit.key == "project" and edit.value is None else edit.value


def take(wizard: Wizard, retry: Retry) -> list[Problem]:
    """The answers as this way has them; where it changes none, what was looked at is looked at anew."""
    if not (retry.settings or retry.force):
        wizard.forget_refusals()
        for request in [found for found in wizard.facts if found.what in _LOOKED_AT]:
            del wizard.facts[request]
        wizard.reckoned.clear()
        return []
    given = {f"train.{name}": value for name, value in retry.settings.items()}
    given |= {"anyway": True} if retry.force else {}
    return [problem for name, value in given.items() for problem in wizard.answer(name, value)]


def start_command(wizard: Wizard, fix: Fix, *, there: bool) -> str:
    """What does a way on at a shell; empty where only the wizard can. there: whether the project is (is_written)."""
    action, file = fix.action, config_file(wizard)
    if isinstance(action, Log):
        return shlex.join(["less", str(log_file())])
    if isinstance(action, Edit) and action.value is not None and question_of(action.key) == f"train.{action.key}":
        action = Retry({action.key: action.value})
    if isinstance(action, Retry):
        return " ".join(filter(None, (wizard.command(), action.options()))) if there else ""
    return "" if isinstance(action, Edit | Answers) else command_of(fix, "", str(file))


def config_file(wizard: Wizard) -> Path:
    """The one that Start writes and runs."""
    return wizard.folder() / "config.yaml"


def run_config(wizard: Wizard) -> dict[str, Any]:
    """As far as a run's config.yaml would name what takes room on the disk."""
    values = train_values(wizard.project(replace=False), wizard.preset())
    return {"train": {"config": {"output_dir": str(wizard.folder() / values["output_dir"])}}}


def log_file() -> Path:
    """What the process that starts a run has printed."""
    return state_folder() / LOG


def is_written(wizard: Wizard) -> bool:
    """Whether the project's folder holds what these answers would write, not somebody else's or that of others."""
    files = wizard.tree().files
    return bool(files) and all(file.state == "same" for file in files)


def _refused_again(wizard: Wizard, problem: Problem) -> bool:
    """Whether it is an answer that is refused, and nothing that is looked at anew comes into it."""
    looked_at = [*mapping_problems(wizard), *ruin(wizard)]
    looked_at += [refused for found in wizard.refusals.values() for refused in found]
    return problem in wizard.problems("review") and problem not in looked_at


def _possible(wizard: Wizard, fix: Fix) -> bool:
    match fix.action:
        case Retry():
            asked = all(question_of(name) == f"train.{name}" for name in fix.action.settings)
            return asked and not fix.action.smaller and (not fix.action.force or can_be_forced(wizard))
        case Edit():
            return question_of(fix.action.key) != ""
    return True
