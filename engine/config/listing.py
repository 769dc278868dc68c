"""The whole table of keys as rows: for `sft-wizard keys` and docs/keys.md."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from inspect import get_annotations
from typing import Any

import msgspec

from engine.config.fates import Fate, Status, fates
from engine.config.schema import MergeConfig, TrainConfig, fields, meta
from engine.config.values import KINDS, either, expected, shown
from engine.text import NOTHING, Phrase

# Parts of the training table, by the class that brings them; then what lies outside it.
_PARTS = {
    "ModelKeys": Phrase("Model"),
    "MethodKeys": Phrase("Method"),
    "DataKeys": Phrase("Data"),
    "OutputKeys": Phrase("Output"),
    "TrainingKeys": Phrase("Training"),
    "MeasuringKeys": Phrase("Measuring and answers"),
    "TrainConfig": Phrase("The run"),
}
MERGING = Phrase("Merging (export)")
PASSED = Phrase("Passed on to transformers' TrainingArguments")
SECRETS = Phrase("Secrets: used, and written nowhere")
OLDER = Phrase("Older names")
WITHOUT_EFFECT = Phrase("No effect here; another value than the default is told once")
REFUSED = Phrase("Not supported; another value than the default is refused")


@dataclass(frozen=True)
class Row:
    """One key. `default`: as YAML, empty where there is none. `text`: what it does, or why not; `instead`: what to do.

    `learned`: it changes what is learned, so that it tells one run from another.
    """

    key: str
    status: Status
    part: Phrase
    default: str
    takes: Phrase
    text: Phrase
    instead: Phrase = NOTHING
    learned: bool = True


@cache
def rows() -> tuple[Row, ...]:
    """Every key that has a status, part by part."""
    ours = [_ours(name, TrainConfig, _PARTS[_part(name)]) for name in fields(TrainConfig)]
    ours += [_ours(name, MergeConfig, MERGING) for name in fields(MergeConfig) if name not in fields(TrainConfig)]
    known = {row.key for row in ours}
    rest = [_other(name, fate) for name, fate in fates().items() if name not in known]
    order = [*_PARTS.values(), MERGING, PASSED, SECRETS, OLDER, WITHOUT_EFFECT, REFUSED]
    return tuple(sorted((*ours, *rest), key=lambda row: order.index(row.part)))


def _part(name: str) -> str:
    return next(part.__name__ for part in TrainConfig.__mro__ if name in get_annotations(part))


def _ours(name: str, struct: type[msgspec.Struct], part: Phrase) -> Row:
    field = fields(struct)[name]
    extra = meta(struct, name).extra or {}
    usual = extra.get("usual", "")
    text = Phrase(meta(struct, name).description or "")
    if usual:
        text = Phrase("{text} Usual: {usual}.", {"text": text, "usual": Phrase(usual)})
    default = "" if field.required else _yaml(field.default)
    learned = bool(extra.get("identity", True))
    return Row(name, "implemented", part, default, expected(struct, name), text, learned=learned)


def _other(name: str, fate: Fate) -> Row:
    if fate.secret:
        part = SECRETS if fate.status == "implemented" else WITHOUT_EFFECT
        text = Phrase("{reason}.", {"reason": fate.reason}) if fate.reason.text else Phrase("A token of the hub.")
        return Row(name, fate.status, part, "null", KINDS["str"], text)
    if fate.status == "passed":
        takes = either([KINDS[kind] for kind in fate.kinds if kind != "null"])
        return Row(name, "passed", PASSED, "", takes, NOTHING)
    if fate.status == "alias":
        text = Phrase("Now {new}.", {"new": fate.new})
        if fate.values:
            text = Phrase("Now {new}: {value}.", {"new": fate.new, "value": fate.values["true"]})
        return Row(name, "alias", OLDER, "", NOTHING, text)
    part = WITHOUT_EFFECT if fate.status == "no effect" else REFUSED
    text = Phrase("{reason}.", {"reason": fate.reason})
    instead = Phrase("Instead: {instead}.", {"instead": fate.instead}) if fate.instead.text else NOTHING
    return Row(name, fate.status, part, _yaml(fate.default), NOTHING, text, instead)


def _yaml(value: Any) -> str:
    return shown(value) if value != "" else "''"
