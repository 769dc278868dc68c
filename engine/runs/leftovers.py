"""What takes room on a run's disk and can be done without: checkpoints, what was moved aside, older runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ProblemError
from engine.runs.control import removal, size_of
from engine.runs.folder import RunFolder
from engine.text import Phrase

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_ASIDE = re.compile(r"\.\d{8}T\d{6}(-\d+)?")


@dataclass(frozen=True)
class Leftover:
    """size: bytes. command: what deletes it, as words."""

    what: Phrase
    path: Path
    size: int
    command: tuple[str, ...]


def leftovers(run: RunFolder | None, config: Mapping[str, Any], runs: Sequence[RunFolder]) -> list[Leftover]:
    """The largest first. The newest checkpoint of this run is not among them: it is what a resume goes on from.

    run: None where none could be started. config: the run's; runs: all of the user's. Reads the sizes of files, seconds
    on a slow disk.
    """
    train = config.get("train")
    output = train.get("config", {}).get("output_dir") if isinstance(train, dict) else None
    found = [*(_of_folder(Path(output)) if output else ()), *_of_runs(run, runs)]
    return sorted((one for one in found if one.size), key=lambda one: -one.size)


def _of_folder(output: Path) -> Iterator[Leftover]:
    numbered = [(int(match[1]), path) for path in _inside(output) if (match := _CHECKPOINT.fullmatch(path.name))]
    for number, path in sorted(numbered)[:-1]:
        yield _folder(Phrase("an older checkpoint of this run, step {step}", {"step": number}), path)
    for path in _inside(output.parent):
        if path.name.startswith(output.name) and _ASIDE.fullmatch(path.name.removeprefix(output.name)):
            yield _folder(Phrase("what was moved aside for this run"), path)


def _of_runs(run: RunFolder | None, runs: Sequence[RunFolder]) -> Iterator[Leftover]:
    for other in runs:
        if run is not None and other.path == run.path:
            continue
        try:
            size = sum(size for _, size in removal(other, everything=True))
        except ProblemError:  # it goes on, or another one uses what it made
            continue
        what = Phrase("another run, with its adapter and model where nothing else uses them")
        yield Leftover(what, other.path, size, ("sft-wizard", "runs", "rm", other.id, "--all"))


def _folder(what: Phrase, path: Path) -> Leftover:
    return Leftover(what, path, size_of(path), ("rm", "-r", str(path)))


def _inside(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []
