"""The config that a command line means: a file or a folder, and what follows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from engine.config.finding import Kind, kind_of, locate
from engine.config.overrides import pairs, with_overrides
from engine.config.reading import read_document
from engine.errors import ConfigError, Problem
from engine.messages import render


def asked(
    file: Path, words: Sequence[str], overrides: Sequence[str], wanted: Kind, as_json: bool
) -> tuple[Path, list[str]]:
    """The file, and all overrides as key=value. Raises ConfigError where the command line is none of these.

    words: what follows the file. A training config that is to be merged is told what it lacks.
    """
    try:
        return _asked(file, words, overrides, wanted)
    except ConfigError as error:
        if as_json:
            problems = [problem.as_dict() | {"text": render(problem)} for problem in error.problems]
            print(json.dumps({"exit_code": error.exit_code, "problems": problems}))
        raise


def _asked(file: Path, words: Sequence[str], overrides: Sequence[str], wanted: Kind) -> tuple[Path, list[str]]:
    if str(file).startswith("--"):
        raise ConfigError(Problem("flags_without_file", {"given": str(file)}))
    given = [*overrides, *pairs(words)]
    found = _located(file, wanted)
    if wanted == "merge":
        document, _ = with_overrides(read_document(found), given)
        if kind_of(document) == "train":
            name = Path(str(document.values.get("output_dir") or "merged")).name
            raise ConfigError(Problem("export_dir_missing", {"path": str(found), "name": name}))
    return found, given


def _located(file: Path, wanted: Kind) -> Path:
    """A folder without a merge config may have a training config, whose outcome can be merged."""
    try:
        return locate(file, wanted)
    except ConfigError:
        if wanted != "merge":
            raise
        return locate(file, "train")
