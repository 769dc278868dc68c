"""What becomes of each key of a file, and whether the file would run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.config.chatting import load_chat
from engine.config.checking import findings
from engine.config.fates import fates, status
from engine.config.finding import Kind, kind_of, locate
from engine.config.jobs import load_job
from engine.config.merging import merges_training
from engine.config.overrides import with_overrides
from engine.config.reading import Document, read_document
from engine.config.schema import MergeConfig, TrainConfig, WizardConfig, fields
from engine.config.values import found_words
from engine.errors import ConfigError, Problem
from engine.text import Phrase

Outcome = Literal["used", "passed on", "older name", "default", "no effect", "refused", "unknown", "wrong"]


@dataclass(frozen=True)
class KeyFate:
    """One key of a file. `problems`: what there is to say of it; an error among them means that the file does not run.

    `outcome` default: it asks for nothing, such as `deepspeed: null`.
    """

    key: str
    value: str | Phrase
    file: str
    line: int | None
    outcome: Outcome
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Explained:
    """`rest`: problems and notes that belong to no key of the file, such as one that is missing."""

    file: Path
    kind: Kind
    keys: list[KeyFate]
    rest: list[Problem]

    @property
    def runs(self) -> bool:
        """Whether nothing about its keys stops it."""
        return not any(problem.severity == "error" for problem in self._all())

    def _all(self) -> list[Problem]:
        return [*self.rest, *(problem for key in self.keys for problem in key.problems)]


def explain(file: Path, overrides: Sequence[str] = ()) -> Explained:
    """Every key of a config, and of the parts of a project's. Raises ConfigError where it cannot be read at all."""
    file = locate(file)
    document, parts = with_overrides(read_document(file), overrides)
    kind = kind_of(document)
    documents = {"": document}
    if kind == "project":
        found = {name: _part(document, name, file.parent, parts) for name in ("train", "merge")}
        documents |= {name: part for name, part in found.items() if part}
    left = list(_problems(file, overrides, document, kind))
    for name, one in documents.items():
        struct = _STRUCTS.get(name or kind)
        if struct is MergeConfig and merges_training(one):
            struct = TrainConfig
        left += [note for note in findings(one, struct) if note not in left] if struct else []
    keys = []
    for one in documents.values():
        for name, value in one.values.items():
            own = [problem for problem in left if _concerns(problem, one, name)]
            left = [problem for problem in left if problem not in own]
            keys.append(_fate(one, name, value, own, part_of_project=kind == "project" and one is document))
    return Explained(file, kind, keys, left)


_STRUCTS: dict[str, type[msgspec.Struct]] = {"train": TrainConfig, "merge": MergeConfig, "project": WizardConfig}


def _problems(file: Path, overrides: Sequence[str], document: Document, kind: Kind) -> Sequence[Problem]:
    try:
        if kind == "chat":
            return load_chat(document, Path.cwd()).notes
        return load_job(file, overrides).notes
    except ConfigError as error:
        return error.problems


def _part(document: Document, name: str, root: Path, overrides: dict[str, dict[str, Any]]) -> Document | None:
    """`train:` or `merge:` of a project: a mapping in the file, or a file of its own."""
    value = document.values.get(name)
    if isinstance(value, dict):
        part = document.inner(name)
    elif isinstance(value, str) and (root / value).is_file():
        try:
            part = read_document(root / value)
        except ConfigError:
            return None
    else:
        return None
    given = overrides.get(name, {})
    return Document(part.file, {**part.values, **given}, part.lines, frozenset(given))


def _concerns(problem: Problem, document: Document, name: str) -> bool:
    fate = fates().get(name)
    if problem.key not in (name, fate.new if fate and fate.new else name):
        return False
    if name in document.overridden:
        return problem.file == "--set"
    return problem.file == document.file and problem.line == document.line(name)


def _fate(document: Document, name: str, value: Any, problems: list[Problem], *, part_of_project: bool) -> KeyFate:
    fate = fates().get(name)
    shown: str | Phrase = "…" if fate and fate.secret else found_words(value)
    line = None if name in document.overridden else document.line(name)
    outcome: Outcome = "used" if part_of_project and name in fields(WizardConfig) else _outcome(name, [])
    if problems:
        outcome = _outcome(name, problems)
    return KeyFate(name, shown, document.file, line, outcome, tuple(problems))


def _outcome(name: str, problems: list[Problem]) -> Outcome:
    codes = {problem.code: problem.severity for problem in problems}
    for code, outcome in _BY_CODE.items():
        if code in codes:
            return outcome
    if "error" in codes.values():
        return "wrong"
    found = status(name)
    if found == "passed":
        return "passed on"
    return "used" if found == "implemented" else "default"


_BY_CODE: dict[str, Outcome] = {
    "unknown_key": "unknown",
    "unknown_key_far": "unknown",
    "key_refused": "refused",
    "value_refused": "refused",
    "value_wrong": "wrong",
    "key_no_effect": "no effect",
    "key_other_command": "no effect",
    "key_empty": "default",
    "key_alias": "older name",
}
