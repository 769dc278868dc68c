"""What becomes of a key: the schema's, those of keys.yaml, and the one status that each has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from engine.config.reading import parse_document
from engine.config.schema import MergeConfig, TrainConfig, fields
from engine.text import NOTHING, Phrase

Status = Literal["implemented", "passed", "alias", "no effect", "not supported"]


@dataclass(frozen=True)
class Fate:
    """One key outside the schema. `default`: the value that asks for nothing; `reason`, `instead`: clauses in words.

    alias: `new` is the key it stands for, `values` what its old values became. `secret`: its value is never shown.
    `kinds`: what a passed key takes.
    """

    status: Status
    default: Any = None
    reason: Phrase = NOTHING
    instead: Phrase = NOTHING
    new: str = ""
    values: dict[str, Any] | None = None
    secret: bool = False
    kinds: tuple[str, ...] = ()

    def asks(self, value: Any) -> bool:
        """Whether `value` asks for something that is not there: neither the default nor, where that is empty, empty."""
        return value is not None and value != self.default and not (value in _EMPTY and self.default in _EMPTY)


_EMPTY: tuple[Any, ...] = (None, False, "", [], {})


@cache
def key_table() -> dict[str, Any]:
    """keys.yaml: passed, aliases, secrets, no_effect, refused, refused_values."""
    source = files("engine.config") / "keys.yaml"
    return parse_document(source.read_text(encoding="utf-8"), "keys.yaml").values


@cache
def fates() -> dict[str, Fate]:
    """{key: fate} of every key outside the schema."""
    return dict(entries())


def entries() -> Iterator[tuple[str, Fate]]:
    """The keys of keys.yaml one by one; each stands there once."""
    table = key_table()
    for name, kinds in table["passed"].items():
        yield name, Fate("passed", kinds=tuple(kinds))
    for name, entry in table["aliases"].items():
        yield name, Fate("alias", new=entry["to"], values=entry.get("values"))
    for name, reason in table["secrets"].items():
        reason = Phrase(reason) if reason else NOTHING
        yield name, Fate("no effect" if reason.text else "implemented", reason=reason, secret=True)
    for group in table["no_effect"]:
        for name, default in group["keys"].items():
            switch = group.get("with")
            reason = Phrase("only {switch} would use it", {"switch": switch}) if switch else Phrase(group["why"])
            yield name, Fate("no effect", default, reason)
    for group in table["refused"]:
        for name, default in group["keys"].items():
            yield name, Fate("not supported", default, Phrase(group["why"]), Phrase(group["instead"]))


def refused_value(name: str, value: Any) -> tuple[Phrase, Phrase] | None:
    """(reason, what instead) of a value that a key of the schema has in LLaMA-Factory and not here."""
    for entry in key_table()["refused_values"]:
        if entry["key"] == name and (type(value), value) in [(type(one), one) for one in entry["values"]]:
            return Phrase(entry["why"]), Phrase(entry["instead"])
    return None


def status(name: str) -> Status | None:
    """The one status of a key; None for a key that nobody knows."""
    if name in fields(TrainConfig) or name in fields(MergeConfig):
        return "implemented"
    return fates()[name].status if name in fates() else None


def known_keys() -> list[str]:
    """Every key that has a status: the schema's first."""
    ours = [*fields(TrainConfig), *(name for name in fields(MergeConfig) if name not in fields(TrainConfig))]
    return [*ours, *fates()]


def sentences() -> Iterator[str]:
    """The words of keys.yaml that reach a person, for the catalogues."""
    table = key_table()
    yield from (reason for reason in table["secrets"].values() if reason)
    for part in ("no_effect", "refused", "refused_values"):
        for group in table[part]:
            yield from (group[word] for word in ("why", "instead") if word in group)
