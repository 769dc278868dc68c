"""From a document to a typed structure: every problem of a file at once, each with its line."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from engine.config.fates import Fate, fates, known_keys, refused_value
from engine.config.optimisers import PACKAGES, perhaps_newer, unknown
from engine.config.reading import Document
from engine.config.rules import train_rules
from engine.config.schema import MergeConfig, TrainConfig, bounds, fields, hints, meta
from engine.config.values import (
    FITS,
    KINDS,
    either,
    expected,
    found_words,
    inner_struct,
    required_keys,
    shown,
    takes_none,
    within,
)
from engine.errors import ConfigError, Problem
from engine.text import Phrase

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True)
class Checked(Generic[T]):
    """A config that holds, what passes through to TrainingArguments, secrets to hand on by environment, and notes."""

    config: T
    passed: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    notes: tuple[Problem, ...] = ()


def check(document: Document, struct: type[T]) -> Checked[T]:
    """Raises ConfigError with every problem of the document; never ignores a key in silence."""
    return _Check(document, struct).run()


def findings(document: Document, struct: type[msgspec.Struct]) -> list[Problem]:
    """Every problem and note of a document, where `check` has no notes beside problems."""
    found = _Check(document, struct)
    try:
        found.run()
    except ConfigError as error:
        return [*error.problems, *found.notes]
    return found.notes


def check_value(struct: type[msgspec.Struct], name: str, value: Any) -> list[Problem]:
    """What is wrong with one key's value by itself."""
    found = _Check(Document("", {name: value}), struct)
    found.typed(name, value)
    return found.problems


def nearest(name: str, known: list[str]) -> list[str]:
    """Up to three known names that look like `name`."""
    return difflib.get_close_matches(name, known, n=3, cutoff=0.6)


class _Check(Generic[T]):
    def __init__(self, document: Document, struct: type[T]):
        self.document, self.struct = document, struct
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        self.values: dict[str, Any] = {}
        self.passed: dict[str, Any] = {}
        self.secrets: dict[str, str] = {}

    def run(self) -> Checked[T]:
        for name, value in self.document.values.items():
            self.one(name, value)
        self.required()
        if self.problems:
            raise ConfigError(*self.problems)
        if self.struct is TrainConfig and self.values.get("do_predict"):
            self.values.setdefault("do_train", False)  # as in LLaMA-Factory, where training has to be asked for
        config = self.struct(**self.values)
        if isinstance(config, TrainConfig):
            self.across(config)
        return Checked(config, self.passed, self.secrets, tuple(self.notes))

    def say(self, code: str, name: str, **params: Any) -> None:
        self.problems.append(self.document.problem(code, name, **params))

    def note(self, code: str, name: str, **params: Any) -> None:
        self.notes.append(_as_note(self.document.problem(code, name, **params)))

    def one(self, name: str, value: Any) -> None:
        lora_factory = self.struct in (TrainConfig, MergeConfig)
        fate = fates().get(name) if lora_factory else None
        if fate and fate.status == "alias":
            if not self.asks_old(name, fate, value):
                return
            value = fate.values[shown(value)] if fate.values else value
            self.note("key_alias", name, new=fate.new)
            name = self.renamed(name, fate.new)
            fate = fates().get(name)
        if name in fields(self.struct):
            self.typed(name, value)
        elif fate:
            self.elsewhere(name, fate, value)
        elif lora_factory and name in fields(TrainConfig):
            self.note("key_other_command", name, command=Phrase("training"))
        elif lora_factory and name in fields(MergeConfig):
            self.note("key_other_command", name, command=Phrase("merging"))
        else:
            self.unknown(name)

    def elsewhere(self, name: str, fate: Fate, value: Any) -> None:
        """A key of keys.yaml."""
        if fate.secret:
            if not value:
                return
            if fate.status == "implemented":
                self.secrets[name] = str(value)
                self.notes.append(_as_note(self.document.problem("secret_in_file", name), "warning"))
            else:
                self.note("key_no_effect", name, reason=fate.reason)
        elif fate.status == "passed":
            if self.struct is TrainConfig:
                self.through(name, value, fate.kinds)
            else:
                self.note("key_other_command", name, command=Phrase("training"))
        elif fate.asks(value):
            if fate.status == "no effect":
                self.note("key_no_effect", name, reason=fate.reason)
            else:
                self.say("key_refused", name, reason=fate.reason, instead=fate.instead)

    def asks_old(self, name: str, fate: Fate, value: Any) -> bool:
        """Whether an older name stands for anything with this value."""
        if value is None:
            return False
        if fate.values is None:
            return True
        if not isinstance(value, bool):
            self.say("value_wrong", name, expected=KINDS["bool"], found=found_words(value))
            return False
        return fate.values[shown(value)] is not None

    def renamed(self, old: str, new: str) -> str:
        """`new`, found at the place of `old`. Both in one file would leave it open which one counts."""
        if new in self.document.values:
            self.say("duplicate_key", old, first=self.document.line(new))
        lines = {**self.document.lines, (new,): self.document.line(old) or 1}
        overridden = self.document.overridden | ({new} if old in self.document.overridden else set())
        self.document = Document(self.document.file, self.document.values, lines, overridden)
        return new

    def typed(self, name: str, value: Any) -> None:
        annotated = hints(self.struct)[name]
        allowed = re.findall(r"'(\w+)'", str(annotated)) if "Literal" in str(annotated) else []
        if value is False and "no" in allowed:  # YAML reads `no` as false
            value = "no"
        if value is None and name in self.struct.__struct_fields__ and not takes_none(annotated):
            if name in required_keys(self.struct):
                return  # reported as missing
            self.note("key_empty", name)
            return
        if value == "" and name in required_keys(self.struct):
            return  # reported as missing
        refused = refused_value(name, value)
        if refused:
            self.say("value_refused", name, value=shown(value), reason=refused[0], instead=refused[1])
            return
        given = value
        inner = inner_struct(annotated)
        if inner and isinstance(value, dict):
            self.nested(name, inner)
            return
        try:
            value = msgspec.convert(value, annotated)
        except msgspec.ValidationError:
            self.say("value_wrong", name, expected=expected(self.struct, name), found=found_words(given))
            return
        if isinstance(value, int | float) and not within(value, bounds(self.struct, name)):
            self.say("value_wrong", name, expected=expected(self.struct, name), found=found_words(given))
            return
        if name == "optim" and value not in PACKAGES:
            if not perhaps_newer(value):
                self.say("optimiser_unknown", name, **unknown(value))
                return
            self.note("optimiser_newer", name, **unknown(value))
        if (name, value) == ("quantization_method", "bitsandbytes"):
            self.note("value_alias", name, old=value, new="bnb")
            value = "bnb"
        self.values[name] = value

    def nested(self, name: str, struct: type[msgspec.Struct]) -> None:
        """A mapping with a table of its own."""
        try:
            checked = check(self.document.inner(name), struct)
        except ConfigError as error:
            self.problems += error.problems
            return
        self.values[name] = checked.config
        self.notes += checked.notes

    def through(self, name: str, value: Any, kinds: tuple[str, ...]) -> None:
        if value is False and name.endswith("_strategy"):  # YAML reads `no` as false
            value = "no"
        if not any(FITS[kind](value) for kind in kinds):
            words = [KINDS[kind] for kind in kinds if kind != "null"]
            self.say("value_wrong", name, expected=either(words), found=found_words(value))
            return
        self.passed[name] = value

    def unknown(self, name: str) -> None:
        known = known_keys() if self.struct in (TrainConfig, MergeConfig) else list(fields(self.struct))
        near = nearest(name, known)
        self.say("unknown_key" if near else "unknown_key_far", name, near=near)

    def required(self) -> None:
        reported = {problem.key for problem in self.problems if problem.code == "value_wrong"}
        for name in required_keys(self.struct):
            if name not in self.values and name not in reported:
                text = meta(self.struct, name).description or ""
                self.say("missing_key", name, help=Phrase(text))

    def across(self, config: TrainConfig) -> None:
        """Raises ConfigError where keys do not go together."""
        for finding in train_rules(config, self.passed):
            if finding.severity == "note":
                self.note(finding.code, finding.key, **finding.params)
            else:
                self.say(finding.code, finding.key, **finding.params)
        if self.problems:
            raise ConfigError(*self.problems)


def _as_note(problem: Problem, severity: Any = "note") -> Problem:
    return Problem(problem.code, problem.params, problem.key, problem.file, problem.line, problem.column, severity)
