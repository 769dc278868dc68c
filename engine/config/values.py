"""What a key takes, in a person's words, and whether a value fits it."""

from __future__ import annotations

import math
import operator
import re
from functools import reduce
from typing import Any, get_args

import msgspec

from engine.config.optimisers import PLAIN
from engine.config.reading import type_name
from engine.config.schema import bounds, fields, hints
from engine.text import Phrase, clean


def expected(struct: type[msgspec.Struct], name: str) -> Phrase:
    """What a key takes, in a person's words: `a whole number from 1 to 4096`."""
    annotated = hints(struct)[name]
    text = str(annotated)
    choices = re.search(r"Literal\[([^\]]*)\]", text)
    if choices:
        return Phrase("one of {choices}", {"choices": choices.group(1).replace("'", "")})
    if name == "optim":
        return Phrase("one of {choices}, or one that needs a package", {"choices": ", ".join(PLAIN)})
    if inner_struct(annotated):
        return KINDS["dict"]
    kinds = [
        words
        for kind, words in KINDS.items()
        if re.search(rf"\b{kind}\b", re.sub(r"dict\[[^]]*\]", "dict", text.split("msgspec")[0]))
    ]
    if "float]" in text:
        kinds = [KINDS["str"], Phrase("a list of numbers")]
    elif "list[str]" in text:
        kinds = [KINDS["str"], _TEXTS] if "str | list" in text else [_TEXTS]
    return _bounded(either(kinds), bounds(struct, name))


def either(kinds: list[Phrase]) -> Phrase:
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


def within(value: float, limits: dict[str, float]) -> bool:
    """Also false for NaN and infinity."""
    return _finite(value) and all(_COMPARE[sign](value, bound) for sign, bound in limits.items())


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


_COMPARE = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
KINDS = {
    "int": Phrase("a whole number"),
    "float": Phrase("a number"),
    "bool": Phrase("true or false"),
    "str": Phrase("text"),
    "list": Phrase("a list"),
    "dict": Phrase("a mapping"),
}
_TEXTS = Phrase("a list of texts")
FITS = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and _finite(value),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "list": lambda value: isinstance(value, list),
    "dict": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def required_keys(struct: type[msgspec.Struct]) -> list[str]:
    """Keys without a default."""
    return [name for name, found in fields(struct).items() if found.required]


def takes_none(annotated: Any) -> bool:
    """Whether null is a value of the key."""
    return "None" in str(annotated).split("msgspec")[0]


def inner_struct(annotated: Any) -> type[msgspec.Struct] | None:
    """The structure that a key holds, such as DataSource, or None."""
    parts = get_args(annotated.__origin__) or (annotated.__origin__,)
    return next((part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)), None)


def found_words(value: Any) -> str | Phrase:
    """A value as the file has it, cut; the kind of a list or mapping."""
    if isinstance(value, list | dict):
        return type_name(value)
    return clean(repr(value) if isinstance(value, str) else shown(value), 80)


def shown(value: Any) -> str:
    """A scalar as YAML has it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
