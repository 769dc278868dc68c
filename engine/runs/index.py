"""The user's runs, wherever their folders are: one small file a run in the user's state folder (0700).

Any number of processes may write at once, since each run has a file of its own. Nothing depends on the index: without
it a run is still found by its path, and in the logs/ of the project one stands in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ConfigError, Problem
from engine.runs.folder import RunFolder
from engine.runs.status import status
from engine.storage import state_folder, write_json

KEEP_SECONDS = 30 * 86400.0  # entries whose folder is out of sight: a disk that is not mounted may come back
NAMED = 5  # runs that an error lists


def note(run: RunFolder) -> None:
    """Remember a run. A home that cannot be written to goes without."""
    path = _real(run.path)
    with contextlib.suppress(OSError):
        write_json(_entry(path), {"path": str(path)})


def forget(run: RunFolder) -> None:
    """Take a run out of the index."""
    with contextlib.suppress(OSError):
        _entry(_real(run.path)).unlink(missing_ok=True)


def known(cwd: Path | None = None) -> list[RunFolder]:
    """Newest first: the runs of the index, and those under `cwd`/logs."""
    folders = dict.fromkeys(_indexed()) | dict.fromkeys(run.path for run in inside(cwd or Path.cwd()))
    return [RunFolder(path) for path in sorted(folders, key=_age_key, reverse=True)]


def inside(folder: Path) -> list[RunFolder]:
    """Newest first: the runs of a project, under its logs/."""
    found: dict[Path, None] = {}
    with contextlib.suppress(OSError):
        found = dict.fromkeys(_real(path) for path in (folder / "logs").iterdir() if _is_run(path))
    return [RunFolder(path) for path in sorted(found, key=_age_key, reverse=True)]


def find(given: str | None, cwd: Path | None = None, *, sole: bool = False) -> RunFolder:
    """A run by its id, the unique beginning of one, or the path of its folder.

    None means the newest that is alive, else the newest; with `sole`, several that are alive are ambiguous.
    Raises ConfigError `run_unknown`, `run_ambiguous` or `no_runs`.
    """
    runs = known(cwd)
    if given is None:
        if not runs:
            raise ConfigError(Problem("no_runs"))
        alive = [run for run in runs if status(run).alive]
        if sole and len(alive) > 1:
            raise ConfigError(Problem("runs_alive", {"runs": [run.id for run in alive]}))
        return (alive or runs)[0]
    path = (cwd or Path.cwd()) / Path(given).expanduser()
    if _is_run(path):
        return RunFolder(_real(path))
    exact = [run for run in runs if run.id == given]
    found = exact or [run for run in runs if given and run.id.startswith(given)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = [str(run.path) for run in found] if exact else [run.id for run in found]
        raise ConfigError(Problem("run_ambiguous", {"given": given, "runs": shown[:NAMED]}))
    if not runs:
        raise ConfigError(Problem("no_runs"))
    raise ConfigError(Problem("run_unknown", {"given": given, "runs": [run.id for run in runs[:NAMED]]}))


def _indexed() -> Iterator[Path]:
    """Folders of the index that are there; entries that lead nowhere are dropped."""
    try:
        entries = list(state_folder("runs").glob("*.json"))
    except OSError:
        return
    for entry in entries:
        try:
            path = Path(json.loads(entry.read_text())["path"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # being removed, or not ours
        if _is_run(path):
            yield path
        else:
            with contextlib.suppress(OSError):
                if path.parent.is_dir() or time.time() - entry.stat().st_mtime > KEEP_SECONDS:
                    entry.unlink()


def _is_run(path: Path) -> bool:
    """By what state.json holds: a project has a config.yaml too, and `runs rm` must never take one for a run."""
    return {"run", "state"} <= RunFolder(path).state().keys()


def _real(path: Path) -> Path:
    """One name for a folder that several lead to."""
    return Path(os.path.realpath(path))


def _entry(path: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return state_folder("runs") / f"{path.name}.{digest}.json"


def _age_key(path: Path) -> tuple[str, float]:
    """By the time in the id; runs of the same second by when their config was written."""
    with contextlib.suppress(OSError):
        return path.name[:15], (path / "config.yaml").stat().st_mtime
    return path.name[:15], 0.0
