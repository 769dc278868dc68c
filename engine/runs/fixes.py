"""What can be done about a run that did not end well, the likeliest way first. Front ends give each way a key or line.

Pure: from what is known of the run and its resolved config to a list; nothing is looked up and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.config.schema import TrainConfig, fields
from engine.errors import Problem
from engine.failures import page_of
from engine.runs.actions import Answers, Edit, Fix, Log, Page
from engine.runs.causes import ways
from engine.runs.offers import Case, resume, rows, to_answers, with_settings
from engine.runs.view import Snapshot
from engine.text import NOTHING, Phrase

MOST = 9  # a key each
LAST = 2  # of them that are always there
_LOG = Fix(Phrase("Read the whole log"), NOTHING, Log())
_UNSAID = ("internal", "helper_died")  # problems of a start of which only the log tells more


def fixes(seen: Snapshot, config: Mapping[str, Any], *, ours: bool = False) -> list[Fix]:
    """For a run that failed, crashed or was stopped; of one that goes on or is done, none.

    config: the run's config.yaml. ours: the answers behind the run are at hand, so that they can be changed.
    """
    if seen.status.state not in ("failed", "crashed", "stopped"):
        return []
    raw = config.get("train")
    train = raw.get("config", {}) if isinstance(raw, dict) else {}
    file = str(config.get("file", ""))
    found = [resume(seen)]
    case = None
    if seen.problems:
        case = Case(seen.problems, seen, train if isinstance(train, dict) else {}, file)
        found = [*ways(case), *rows(seen.problems), *_page(case.problem)]
    found += [to_answers("review")] if ours and seen.status.state != "stopped" else []
    found.append(_LOG)
    if not ours:
        found = [kept for fix in found if (kept := _without_answers(fix, case)) is not None]
    return as_many_as_keys(_distinct(found))


def start_fixes(problems: Sequence[Problem], train: Mapping[str, Any], file: str) -> list[Fix]:
    """All there are for a start that was refused before there was a run. train: the training keys that were asked for;

    file: the config that the start writes.
    """
    case = Case(problems, None, train, file)
    found = [*ways(case), *rows(problems), *_page(case.problem), to_answers("review")]
    return _distinct([*found, *[_LOG] * (case.problem.code in _UNSAID)])


def as_many_as_keys(found: Sequence[Fix]) -> list[Fix]:
    """Without the least likely where there are too many. The last ones stay: the answers, the log."""
    return [*found] if len(found) <= MOST else [*found[: MOST - LAST], *found[-LAST:]]


def _page(problem: Problem) -> list[Fix]:
    page = page_of(problem.code)
    return [Fix(Phrase("Read what this is and how to prevent it"), NOTHING, Page(page.name))] if page else []


def _without_answers(fix: Fix, case: Case | None) -> Fix | None:
    """The same where there are no answers to go back to: a value is set beside the file, a step has no screen."""
    if isinstance(fix.action, Answers):
        return None
    if isinstance(fix.action, Edit):
        known = case is not None and fix.action.value is not None and fix.action.key in fields(TrainConfig)
        return with_settings(case, {fix.action.key: fix.action.value}, fix.why) if case and known else None
    return fix


def _distinct(found: list[Fix]) -> list[Fix]:
    kept: list[Fix] = []
    for fix in found:
        if all(fix.action != other.action for other in kept):
            kept.append(fix)
    return kept
