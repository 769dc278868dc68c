"""What can go wrong, as values: a code, where it was seen, and parameters. Front ends turn them into words.

The English words live beside each room (`engine/<room>/messages.py`) and are gathered by `engine.messages`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.text import Phrase

Severity = Literal["error", "warning", "note"]

_TEMPLATE = re.compile(r"(?:[^{}]|\{[^\W\d]\w*\}|\{\{|\}\})*")

EXIT_OK = 0
EXIT_FAILED = 1  # the run failed
EXIT_USAGE = 2  # usage, configuration or data
EXIT_ENVIRONMENT = 3  # no GPU where one is demanded, missing package, disk, model out of reach
EXIT_STOPPED = 4  # stopped on request
EXIT_CHECKPOINTED = 75  # checkpointed after a termination signal: run again to go on
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Problem:
    """One finding. `code` selects the words; `params` fill them and hold JSON values, or phrases where they are words.

    `file`, `line` and `column` (both from 1) say where; `key` is the config key or data column concerned.
    """

    code: str
    params: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    severity: Severity = "error"

    @property
    def place(self) -> str:
        """`file:line:column` as far as known, else an empty string."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    def as_dict(self) -> dict[str, Any]:
        """The problem as a JSON object without empty members."""
        raw = {
            "code": self.code,
            "params": {name: packed(value) for name, value in self.params.items()},
            "key": self.key,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "severity": self.severity,
        }
        return {name: value for name, value in raw.items() if value is not None}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Problem:
        """Inverse of `as_dict`; members it does not know are ignored."""
        known = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
        if isinstance(known.get("params"), dict):
            known["params"] = {name: unpacked(value) for name, value in known["params"].items()}
        return cls(**known)


def packed(value: Any) -> Any:
    """A phrase as a JSON object, anything else as it is."""
    if isinstance(value, Phrase):
        return {"phrase": value.text, "values": {name: packed(inner) for name, inner in value.values.items()}}
    return [packed(inner) for inner in value] if isinstance(value, list | tuple) else value


def unpacked(value: Any) -> Any:
    """Inverse of `packed`. What comes out of a file is a template only where it has plain gaps, and text elsewhere."""
    if isinstance(value, dict) and value.keys() == {"phrase", "values"} and isinstance(value["values"], dict):
        text = str(value["phrase"])
        if not _TEMPLATE.fullmatch(text):
            return text
        return Phrase(text, {name: unpacked(inner) for name, inner in value["values"].items()})
    return [unpacked(inner) for inner in value] if isinstance(value, list) else value


class ProblemError(Exception):
    """One or more problems that end what was asked for."""

    exit_code = EXIT_FAILED

    def __init__(self, *problems: Problem):
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        from engine.messages import render

        return "\n".join(render(problem) for problem in self.problems)


class ConfigError(ProblemError):
    """A file, key, value or command line that cannot be used."""

    exit_code = EXIT_USAGE


class DataError(ProblemError):
    """Training data that cannot be used."""

    exit_code = EXIT_USAGE


class EnvironmentProblem(ProblemError):
    """This machine lacks something: disk, device, package, network."""

    exit_code = EXIT_ENVIRONMENT


class RunError(ProblemError):
    """Training, merging or generation failed while running."""

    exit_code = EXIT_FAILED


class StopRequested(Exception):
    """A stop was asked for and everything worth keeping is on disk."""
