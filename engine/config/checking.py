"""From a document to a typed structure: every problem of a file at once, each with its line."""

from __future__ import annotations

import difflib
import math
import operator
import re
from dataclasses import dataclass, field
from functools import cache, reduce
from importlib.resources import files
from typing import Any, Generic, TypeVar, get_args

import msgspec

from engine.config.reading import Document, parse_document, type_name
from engine.config.schema import MergeConfig, TrainConfig, bounds, fields, hints, meta, names
from engine.errors import ConfigError, Problem
from engine.text import Phrase, clean

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True)
class Checked(Generic[T]):
    """A config that holds, what passes through to TrainingArguments, secrets to hand on by environment, and notes."""

    config: T
    passed: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    notes: tuple[Problem, ...] = ()


@cache
def key_table() -> dict[str, Any]:
    """keys.yaml: passed, no_effect, refused, aliases, secrets, llamafactory."""
    source = files("engine.config") / "keys.yaml"
    return parse_document(source.read_text(encoding="utf-8"), "keys.yaml").values


def check(document: Document, struct: type[T]) -> Checked[T]:
    """Raises ConfigError with every problem of the document; never ignores a key in silence."""
    return _Check(document, struct).run()


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
        if not self.problems and self.struct is TrainConfig:
            self.across(self.values)
        if len(names(self.values.get("adapter_name_or_path"))) > 1:
            self.say("one_adapter_only", "adapter_name_or_path")
        if self.problems:
            raise ConfigError(*self.problems)
        config = self.struct(**self.values)
        return Checked(config, self.passed, self.secrets, tuple(self.notes))

    def say(self, code: str, name: str, **params: Any) -> None:
        self.problems.append(self.document.problem(code, name, **params))

    def note(self, code: str, name: str, **params: Any) -> None:
        self.notes.append(_as_note(self.document.problem(code, name, **params)))

    def one(self, name: str, value: Any) -> None:
        table = key_table()
        lora_factory = self.struct in (TrainConfig, MergeConfig)
        if lora_factory and name in table["aliases"]:
            self.note("key_alias", name, new=table["aliases"][name])
            name = self.renamed(name, table["aliases"][name])
        if name in fields(self.struct):
            self.typed(name, value)
        elif not lora_factory:
            self.unknown(name)
        elif name in table["secrets"]:
            if value:
                self.secrets[name] = str(value)
                self.notes.append(_as_note(self.document.problem("secret_in_file", name), "warning"))
        elif name in table["refused"]:
            if value in _UNSET:
                return
            self.say("key_refused", name, instead=Phrase(table["refused"][name]))
        elif name in table["no_effect"]:
            self.note("key_no_effect", name, reason=Phrase(table["no_effect"][name]))
        elif name in table["passed"] and self.struct is TrainConfig:
            self.through(name, value, table["passed"][name])
        elif name in table["llamafactory"]:
            if value is not None and value != table["llamafactory"][name]:
                self.say("key_not_supported", name, default=_shown(table["llamafactory"][name]))
        elif name in fields(TrainConfig) or name in table["passed"]:
            self.note("key_other_command", name, command=Phrase("training"))
        elif name in fields(MergeConfig):
            self.note("key_other_command", name, command=Phrase("merging"))
        else:
            self.unknown(name)

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
        if value is None and name in self.struct.__struct_fields__ and not _takes_none(annotated):
            if name in _required(self.struct):
                return  # reported as missing
            self.note("key_empty", name)
            return
        if value == "" and name in _required(self.struct):
            return  # reported as missing
        given = value
        inner = _inner_struct(annotated)
        if inner and isinstance(value, dict):
            self.nested(name, inner)
            return
        try:
            value = msgspec.convert(value, annotated)
        except msgspec.ValidationError:
            self.say("value_wrong", name, expected=expected(self.struct, name), found=_found(given))
            return
        if isinstance(value, int | float) and not _within(value, bounds(self.struct, name)):
            self.say("value_wrong", name, expected=expected(self.struct, name), found=_found(given))
            return
        special = _SPECIAL.get((name, value if isinstance(value, str | bool) else None))
        if special:
            self.say(special, name)
            return
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

    def through(self, name: str, value: Any, kinds: list[str]) -> None:
        if value is False and name.endswith("_strategy"):  # YAML reads `no` as false
            value = "no"
        if not any(_FITS[kind](value) for kind in kinds):
            words = [_KINDS[kind] for kind in kinds if kind != "null"]
            self.say("value_wrong", name, expected=_either(words), found=_found(value))
            return
        self.passed[name] = value

    def unknown(self, name: str) -> None:
        known = list(fields(self.struct))
        if self.struct in (TrainConfig, MergeConfig):
            known += [*key_table()["passed"], *key_table()["llamafactory"]]
        near = nearest(name, known)
        self.say("unknown_key" if near else "unknown_key_far", name, near=near)

    def required(self) -> None:
        reported = {problem.key for problem in self.problems if problem.code == "value_wrong"}
        for name in _required(self.struct):
            if name not in self.values and name not in reported:
                text = meta(self.struct, name).description or ""
                self.say("missing_key", name, help=Phrase(text))

    def across(self, values: dict[str, Any]) -> None:
        if not values.get("do_train", True):
            self.say("value_wrong", "do_train", expected="true", found="false")
        if values.get("bf16") and values.get("fp16"):
            self.say("bf16_and_fp16", "fp16")
        if not names(values["dataset"]):
            self.say("value_wrong", "dataset", expected=Phrase("one or more names"), found=type_name(None))
        if values.get("eval_strategy", "no") != "no" and not values.get("val_size"):
            self.say("eval_without_rows", "eval_strategy")
        size = values.get("val_size", 0)
        if size >= 1 and size != int(size):
            share = Phrase("a share below 1 or a whole number")
            self.say("value_wrong", "val_size", expected=share, found=repr(size))


def expected(struct: type[msgspec.Struct], name: str) -> Phrase:
    """What a key takes, in a person's words: `a whole number from 1 to 4096`."""
    annotated = hints(struct)[name]
    text = str(annotated)
    choices = re.search(r"Literal\[([^\]]*)\]", text)
    if choices:
        return Phrase("one of {choices}", {"choices": choices.group(1).replace("'", "")})
    if _inner_struct(annotated):
        return _KINDS["dict"]
    kinds = [
        words
        for kind, words in _KINDS.items()
        if re.search(rf"\b{kind}\b", re.sub(r"dict\[[^]]*\]", "dict", text.split("msgspec")[0]))
    ]
    if "list[str]" in text:
        kinds = [_KINDS["str"], _TEXTS] if "str | list" in text else [_TEXTS]
    return _bounded(_either(kinds), bounds(struct, name))


def _either(kinds: list[Phrase]) -> Phrase:
    """`a number or text`."""
    return reduce(lambda one, other: Phrase("{one} or {other}", {"one": one, "other": other}), kinds)


def _bounded(kind: Phrase, limits: dict[str, float]) -> Phrase:
    """`a number from 0 to below 1`."""
    low, high = (limits.get(inclusive, limits.get(strict)) for inclusive, strict in (("ge", "gt"), ("le", "lt")))
    if low is None:
        return kind
    values = {"kind": kind, "low": f"{low:.15g}", "high": "" if high is None else f"{high:.15g}"}
    if high is None:
        return Phrase("{kind} above {low}", values) if "gt" in limits else Phrase("{kind} of at least {low}", values)
    if "gt" in limits:
        return Phrase("{kind} above {low} and up to {high}", values)
    if "lt" in limits:
        return Phrase("{kind} from {low} to below {high}", values)
    return Phrase("{kind} from {low} to {high}", values)


def _within(value: float, limits: dict[str, float]) -> bool:
    """Also false for NaN and infinity."""
    return _finite(value) and all(_COMPARE[sign](value, bound) for sign, bound in limits.items())


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


_COMPARE = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
_KINDS = {
    "int": Phrase("a whole number"),
    "float": Phrase("a number"),
    "bool": Phrase("true or false"),
    "str": Phrase("text"),
    "list": Phrase("a list"),
    "dict": Phrase("a mapping"),
}
_TEXTS = Phrase("a list of texts")
_FITS = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and _finite(value),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "list": lambda value: isinstance(value, list),
    "dict": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
# Values that fit their type and still get an answer of their own.
_SPECIAL = {
    ("export_legacy_format", True): "legacy_format",
    ("template", "llama"): "template_llama",
    ("template", "chatglm"): "template_chatglm",
}


def _required(struct: type[msgspec.Struct]) -> list[str]:
    return [name for name, found in fields(struct).items() if found.required]


def _takes_none(annotated: Any) -> bool:
    return "None" in str(annotated).split("msgspec")[0]


def _inner_struct(annotated: Any) -> type[msgspec.Struct] | None:
    """The structure that a key holds, such as DataSource, or None."""
    parts = get_args(annotated.__origin__) or (annotated.__origin__,)
    return next((part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)), None)


_UNSET: tuple[Any, ...] = (None, False, "", [], {})  # a refused key that asks for nothing is no obstacle


def _found(value: Any) -> str | Phrase:
    """A value as the file has it, cut; the kind of a list or mapping."""
    if isinstance(value, list | dict):
        return type_name(value)
    return clean(repr(value) if isinstance(value, str) else _shown(value), 80)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_note(problem: Problem, severity: Any = "note") -> Problem:
    return Problem(problem.code, problem.params, problem.key, problem.file, problem.line, problem.column, severity)
