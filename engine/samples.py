"""The datasets that ship with the tool, one for each kind of task."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from engine.config.reading import parse_document
from engine.errors import ConfigError, Problem

_GAP = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Sample:
    """A dataset: rows, questions that show what it teaches, settings that suit it.

    reason: in a few words what kind it is. place: in the list that a person chooses from. formatting: of its rows.
    fill: {name: what stands in the rows' gaps of that name where nothing else is given}.
    """

    name: str
    title: str
    reason: str
    place: int
    dataset: str
    questions: tuple[str, ...]
    settings: Mapping[str, Any]
    text: str
    formatting: str = "alpaca"
    fill: Mapping[str, str] = field(default_factory=dict)

    def rows(self, given: Mapping[str, str] | None = None) -> str:
        """The rows as JSON text, their gaps filled with what is given. Raises ConfigError for a gap there is not."""
        unknown = [name for name in given or {} if name not in self.fill]
        if unknown:
            raise ConfigError(Problem("sample_gap_unknown", {"name": unknown[0], "known": list(self.fill)}))
        values = {**self.fill, **(given or {})}
        values |= {name.capitalize(): text[:1].upper() + text[1:] for name, text in values.items()}
        return _GAP.sub(lambda gap: json.dumps(values[gap[1]], ensure_ascii=False)[1:-1], self.text)

    def given(self, rows: str) -> dict[str, str] | None:
        """What the gaps of these rows were filled with, where it is not what stands there otherwise; None where they
        are not this sample's."""
        first, *parts = _GAP.split(self.text)
        found: dict[str, str] = {}
        place = len(first)
        for gap, following in zip(parts[::2], parts[1::2], strict=True):
            end = rows.find(following, place)
            if gap in self.fill and gap not in found:
                found[gap] = rows[place : max(end, place)]
            place = end + len(following)
        try:
            values = {name: str(json.loads(f'"{text}"')) for name, text in found.items()}
        except ValueError:
            return None
        changed = {name: text for name, text in values.items() if text != self.fill[name]}
        return changed if self.rows(changed) == rows else None


@cache
def samples() -> tuple[str, ...]:
    """Names of the shipped samples, the one to begin with first."""
    folder = files("templates") / "samples"
    names = [entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return tuple(sorted(names, key=lambda name: _read(name).place))


def sample(name: str) -> Sample:
    """A shipped sample. Raises ConfigError for a name there is not."""
    if name not in samples():
        raise ConfigError(Problem("sample_unknown", {"name": name, "known": list(samples())}))
    return _read(name)


@cache
def _read(name: str) -> Sample:
    folder = files("templates") / "samples"
    about = parse_document((folder / f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml").values
    text = (folder / f"{name}.json").read_text(encoding="utf-8")
    return Sample(name=name, text=text, **{**about, "questions": tuple(about["questions"])})
