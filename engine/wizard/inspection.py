"""What was found out about every row of the data: asked for beside everything else, and nobody waits for it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.config.data_keys import DataKeys
from engine.config.method_keys import MethodKeys
from engine.errors import Problem
from engine.project import train_values
from engine.text import Phrase, listed
from engine.wizard.asks.data import chosen_data
from engine.wizard.questions import Request

if TYPE_CHECKING:
    from engine.data.review import Review
    from engine.data.views import RowView
    from engine.wizard.session import Wizard

CHECK = "check"
ASKED_AT, BETWEEN = ("data", "review"), ("preset", "settings")  # steps
# Settings that decide on rows and tokens.
_KEYS = {
    *(set(DataKeys.__struct_fields__) - set(MethodKeys.__struct_fields__) - {"dataset_dir", "dataset"}),
    *("seed", "resize_vocab", "split_special_tokens", "add_tokens", "add_special_tokens", "new_special_tokens_config"),
    "predict_with_generate",
}


@dataclass(frozen=True)
class Inspection:
    """review: None where there is nothing to review; why is in `problems`, or model and data have to be fetched first.

    rows: the first ones. first: how many were looked at, None where it was all of them.
    """

    review: Review | None
    rows: tuple[RowView, ...]
    first: int | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What would ruin the run."""
        found = self.review.problems if self.review else ()
        return (*self.problems, *(problem for problem in found if problem.severity == "error"))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What else is worth knowing."""
        return tuple(
            problem for problem in (self.review.problems if self.review else ()) if problem.severity != "error"
        )


def request(wizard: Wizard) -> Request | None:
    """What finds it out, for the answers of now; None while model or data are not known, or cannot be used."""
    key = ("asked", repr(sorted(wizard.answers.items())), frozenset(wizard.refusals))  # screens ask several times
    if key not in wizard.reckoned:
        wizard.reckoned[key] = _request(wizard)
    made: Request | None = wizard.reckoned[key]
    return made


def _request(wizard: Wizard) -> Request | None:
    if not _is_here(wizard) or not wizard.found("data") or wizard.problems("data"):
        return None
    answers = wizard.project(replace=False)
    values = train_values(answers, wizard.preset())
    settings = {name: values[name] for name in sorted(_KEYS) if name in values}
    answers = replace(answers, folder=Path(), settings=settings, merge=False)
    written = json.dumps(msgspec.to_builtins(answers, enc_hook=str), sort_keys=True)
    return Request(CHECK, chosen_data(wizard), (("answers", written),))


def _is_here(wizard: Wizard) -> bool:
    """Whether the model lies on this machine: its tokenizer is what counts the rows."""
    return bool((wizard.found("model") or {}).get("here"))


def page(asked: Request, at: int) -> Request:
    """The rows from place `at` on."""
    return replace(asked, options=(*asked.options, ("at", str(at))))


def rows_of(found: Any) -> tuple[RowView, ...]:
    """The rows of an answer."""
    from engine.data.views import RowView

    return tuple(RowView.from_dict(row) for row in found["rows"])


def wishes(wizard: Wizard, step: str, under_way: Collection[Request] = ()) -> list[Request]:
    """What is looked up at a step though nobody waits for it. What is under way goes on between data and review."""
    if step in BETWEEN:
        return [asked for asked in under_way if asked.what == CHECK]
    asked = request(wizard) if step in ASKED_AT else None
    return [asked] if asked and asked not in wizard.facts and asked not in wizard.refusals else []


def inspection(wizard: Wizard) -> Inspection | None:
    """What was found out; None while it was not, or could not be."""
    asked = request(wizard)
    if asked is None or asked not in wizard.facts:
        return None
    key = ("inspection", asked)
    if key not in wizard.reckoned:
        from engine.data.review import Review

        found = wizard.facts[asked]
        review = Review.from_dict(found["review"]) if found["review"] else None
        problems = tuple(Problem.from_dict(problem) for problem in found["problems"])
        wizard.reckoned[key] = Inspection(review, rows_of(found), found["first"], problems)
    made: Inspection = wizard.reckoned[key]
    return made


def refused(wizard: Wizard) -> tuple[Problem, ...]:
    """Why it could not be found out."""
    asked = request(wizard)
    return wizard.refusals.get(asked, ()) if asked else ()


def ruin(wizard: Wizard) -> list[Problem]:
    """What would ruin the run; of that what may be tried nevertheless is left out where a person wants to."""
    found = inspection(wizard)
    errors = found.errors if found else ()
    anyway = bool(wizard.answers.get("anyway"))
    return [problem for problem in errors if not anyway or not _forceable(problem, found)]


def can_be_forced(wizard: Wizard) -> bool:
    """Whether a run could be tried in spite of what was found."""
    found = inspection(wizard)
    return found is not None and any(_forceable(problem, found) for problem in found.errors)


def _forceable(problem: Problem, found: Inspection | None) -> bool:
    """Data that cannot be read stays so; of a review's errors all but a few are a person's own risk."""
    from engine.data.gate import HOPELESS

    return found is not None and found.review is not None and problem.code not in HOPELESS


def summary(wizard: Wizard) -> Phrase | None:
    """The whole of it in a line; None while there is nothing to say."""
    if refused(wizard):
        return Phrase("The rows could not be checked now; the run checks them before its first step.")
    found = inspection(wizard)
    if found is None:
        there = wizard.found("model") and wizard.found("data") and not wizard.problems("data")
        return (
            Phrase("The rows are checked when the model has been fetched.") if there and not _is_here(wizard) else None
        )
    if found.review is None:
        if found.problems:
            return Phrase("Checked: a run would be stopped before its first step.")
        return Phrase("The rows are checked when they have been fetched, before the first step.")
    part = found.review.parts.get("train")
    if part is None:
        return None
    told = {"rows": part.rows, "tokens": part.tokens, "share": round(100 * part.labelled / max(part.tokens, 1))}
    text = Phrase("Checked {rows} rows: {tokens} tokens, {share} % are learned", told)
    if found.first is not None:
        text = Phrase("Checked the first {rows} rows: {tokens} tokens, {share} % are learned", told)
    dropped = sum(sum(tally["dropped"].values()) for tally in found.review.sets)
    parts = [text]
    parts += [Phrase("{count} left out", {"count": dropped})] if dropped else []
    parts += [Phrase("{count} cut", {"count": part.truncated})] if part.truncated else []
    parts += [Phrase("{count} without anything to learn", {"count": part.masked})] if part.masked else []
    parts += [Phrase("{count} repeated", {"count": part.duplicates})] if part.duplicates else []
    return Phrase("{facts}.", {"facts": listed(parts)})
