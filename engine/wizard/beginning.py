"""What a person may have come back for: a run that is going, answers of earlier, a project, a run that has ended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.config.reading import read_document
from engine.config.schema import WizardConfig, fields
from engine.errors import ProblemError
from engine.runs import index
from engine.runs.folder import RunFolder
from engine.runs.status import Status, status
from engine.runs.view import RunView
from engine.wizard import draft
from engine.wizard.draft import Draft

LOOKED_AT = 50  # newest runs that are asked whether they live
SUBFOLDERS = 300  # of the current folder that are looked into
MOST = 5  # live runs, and projects, that are offered


@dataclass(frozen=True)
class Seen:
    """A run and what became of it. checkpoint: the step that it can go on from, where that was looked up."""

    run: RunFolder
    status: Status
    checkpoint: int | None = None


@dataclass(frozen=True)
class Project:
    """A folder with a config.yaml of ours. newest: its newest run. changed: Unix time of the latest there."""

    folder: Path
    newest: Seen | None
    changed: float


@dataclass(frozen=True)
class Beginning:
    """live and projects: newest first, MOST of each. runs: how many the index knows. whole: nothing more is to come."""

    draft: Draft | None = None
    live: tuple[Seen, ...] = ()
    runs: int = 0
    projects: tuple[Project, ...] = ()
    whole: bool = False


Look = Callable[[Path], Iterator[Beginning]]


def look_back(cwd: Path) -> Iterator[Beginning]:
    """First what decides where a person begins, the draft and the runs that live, then the projects as well.

    Takes as long as the disks do, and raises nothing: what cannot be read is not offered.
    """
    runs = index.known(cwd)
    seen = [Seen(run, status(run)) for run in runs[:LOOKED_AT]]
    live = tuple(found for found in seen if found.status.alive)[:MOST]
    found = Beginning(draft.load(), live, len(runs))
    yield found
    yield replace(found, projects=tuple(projects(cwd, runs))[:MOST], whole=True)


def projects(cwd: Path, runs: Sequence[RunFolder]) -> list[Project]:
    """Those that `runs`, newest first, were made of, that of the current folder and those of its direct subfolders."""
    places = [run.path.parents[1] for run in runs if run.path.parent.name == "logs"]
    places += [cwd.resolve(), *_subfolders(cwd.resolve())]
    found = [_project(folder) for folder in dict.fromkeys(places) if is_project(folder)]
    return sorted(found, key=lambda project: project.changed, reverse=True)


def newest(folder: Path) -> Seen | None:
    """The newest run of a project, what became of it, and the step that it can go on from."""
    runs = index.inside(folder)
    return Seen(runs[0], status(runs[0]), RunView(runs[0]).poll().checkpoint) if runs else None


def is_project(folder: Path) -> bool:
    """Whether its config.yaml is a project's. That of a run folder has keys that a project's never has."""
    file = folder / "config.yaml"
    try:
        keys = read_document(file).values.keys() if file.is_file() else set()
    except (OSError, ProblemError):
        return False
    return "train" in keys and keys <= fields(WizardConfig).keys()


def _subfolders(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = (Path(entry.path) for _, entry in zip(range(SUBFOLDERS), entries, strict=False) if entry.is_dir())
        return sorted(path for path in found if not path.name.startswith("."))
    return []


def _project(folder: Path) -> Project:
    runs = index.inside(folder)
    seen = Seen(runs[0], status(runs[0])) if runs else None
    changed = 0.0
    for file in (folder / "config.yaml", seen.run.state_file if seen else folder / "config.yaml"):
        with contextlib.suppress(OSError):
            changed = max(changed, file.stat().st_mtime)
    return Project(folder, seen, changed)
