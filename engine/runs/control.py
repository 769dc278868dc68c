"""Ending runs from anywhere, and deleting what they left."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import EXIT_FAILED, ConfigError, EnvironmentProblem, Problem, ProblemError
from engine.outputs import lock_path, read_marker
from engine.runs.events import EventLog
from engine.runs.folder import RunFolder
from engine.runs.index import forget
from engine.runs.lock import Holder, Place, held, in_use, read_holder
from engine.runs.status import GOING, status

DEATH_SECONDS = 10.0  # a process that the kernel writes out of a full GPU takes a while to be gone

LEAVING_SECONDS = 20.0  # from a worker's last word to its end: torch takes its time to close

How = Literal["signal", "file", "killed"]


@dataclass(frozen=True)
class Again:
    """What a run was started with, as `pipeline.run` takes it. goes_on: see there."""

    source: Path
    overrides: list[str]
    require_gpu: bool
    force: bool
    cwd: Path | None
    goes_on: bool = False


def again(run: RunFolder) -> Again:
    """To go on where the work of `run` was saved. In a project that was moved, its config.yaml is the one there now.

    A worker that has said its last word is waited for; one that goes on is the EnvironmentProblem `still_alive`.
    """
    end = time.monotonic() + LEAVING_SECONDS
    while (now := status(run)).alive:
        if now.state in GOING or now.state == "elsewhere" or time.monotonic() > end:
            raise EnvironmentProblem(Problem("still_alive", {"run": run.id}))
        time.sleep(0.1)
    config = run.config()
    source, cwd = Path(config["file"]), config.get("cwd")
    moved = run.path.parents[1] / source.name
    if not source.exists() and moved.exists():
        source = moved
    overrides: list[str] = config.get("overrides", [])
    require_gpu, force = bool(config.get("require_gpu")), bool(config.get("force"))
    return Again(source, overrides, require_gpu, force, Path(cwd) if cwd else None)


def stop(run: RunFolder, *, kill: bool = False, here: Place | None = None) -> How:
    """Ask a run to checkpoint and end, by SIGTERM where its worker is a process of ours to see, else by its stop file.

    Returns at once; with `kill`, after its process group is dead. Raises ConfigError `run_over`, EnvironmentProblem
    `kill_elsewhere`, `kill_unverified` or `not_writable`.
    """
    here = here or Place.here()
    found = status(run, here=here)
    if not found.alive and found.state != "elsewhere":
        raise ConfigError(Problem("run_over", {"run": run.id, "state": found.state}))
    holder = read_holder(run.lock_file)
    ours = holder is not None and holder.is_in(here) and holder.lives()
    if kill:
        if holder is not None and not holder.is_in(here):
            raise EnvironmentProblem(Problem("kill_elsewhere", {"run": run.id, "host": holder.host}))
        if holder is None or not ours:
            raise EnvironmentProblem(Problem("kill_unverified", {"run": run.id}))
        _kill(run, holder)
        return "killed"
    if holder is not None and ours:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(holder.pid, signal.SIGTERM)
            return "signal"
    try:
        run.stop_file.touch(mode=0o600)
    except OSError:
        raise EnvironmentProblem(Problem("not_writable", {"folder": str(run.path), "at": str(run.path)})) from None
    return "file"


def _kill(run: RunFolder, holder: Holder) -> None:
    """SIGKILL to the worker's process group, or to it alone where it leads none."""
    try:
        if os.getpgid(holder.pid) == holder.pid:
            os.killpg(holder.pid, signal.SIGKILL)
        else:
            os.kill(holder.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise EnvironmentProblem(Problem("kill_unverified", {"run": run.id})) from None
    end = time.monotonic() + DEATH_SECONDS
    while held(run.lock_file) and time.monotonic() < end:
        time.sleep(0.05)
    killed(run)


def killed(run: RunFolder) -> None:
    """Leave the last word for a worker that was killed on request. Only once it is dead: it is the events' writer."""
    if held(run.lock_file):
        return
    with contextlib.suppress(OSError):  # a full disk may be why it was killed
        problem = Problem("killed", {"log": str(run.log_file), "by": f"{getpass.getuser()}@{socket.gethostname()}"})
        EventLog(run.events_file).write("failed", **problem.as_dict(), also=[], exit_code=EXIT_FAILED)
        run.update_state(state="failed", exit_code=EXIT_FAILED, code=problem.code)


def removal(run: RunFolder, *, everything: bool) -> list[tuple[Path, int]]:
    """What `remove` deletes, with its size in bytes: the run folder and its TensorBoard files.

    With `everything` also the adapter and merged model that this run was the last to write, as their marker says; but
    not a folder that holds the config or the data as well.
    Raises ConfigError `run_alive`, and EnvironmentProblem `in_use` where another live run holds one of them.
    """
    if status(run).alive:
        raise ConfigError(Problem("run_alive", {"run": run.id}))
    try:
        config = run.config()
    except (OSError, ProblemError):
        config = {}  # a damaged run can be deleted too; what it made is not known then
    train = config.get("train", {}).get("config", {})
    found = [path for path in _outputs(config) if _last_written_by(path, run)] if everything else []
    found = [path for path in found if not any(part.is_relative_to(path) for part in _sources(config))]
    for folder in found:
        if held(lock_path(folder)):
            raise EnvironmentProblem(in_use(lock_path(folder), folder))
    paths = [part for folder in found for part in _without_other_runs(folder, run)]
    if train.get("logging_dir"):
        paths.append(Path(train["logging_dir"]) / run.id)
    paths.append(run.path)
    kept = [path for path in paths if not any(other in path.parents for other in paths)]
    return [(path, size_of(path)) for path in kept if path.exists()]


def remove(run: RunFolder, *, everything: bool) -> list[tuple[Path, int]]:
    """Delete what `removal` lists and return it. The run's own folder goes last: until then it can be found again."""
    listed = removal(run, everything=everything)
    for path, _ in listed:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    forget(run)
    link = run.path.parent / "train.log"
    if link.is_symlink() and not link.exists():
        link.unlink()
    return listed


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links are not followed."""
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(folder) / name).lstat().st_size
    return total


def _outputs(config: dict[str, Any]) -> list[Path]:
    """Where a run was to write: adapter and merged model."""
    named = [("train", "output_dir"), ("merge", "export_dir")]
    found = [config[step]["config"][key] for step, key in named if step in config]
    return [Path(path).resolve() for path in found]


def _sources(config: dict[str, Any]) -> list[Path]:
    """What a run was made of, as far as it lies in files of the user's."""
    train = config.get("train", {})
    found = [config.get("file"), train.get("config", {}).get("dataset_dir"), train.get("model_path")]
    return [Path(path).resolve() for path in (*found, config.get("merge", {}).get("model_path")) if path]


def _last_written_by(folder: Path, run: RunFolder) -> bool:
    """By id, not by path: the project may have been moved since."""
    marker = read_marker(folder)
    return marker is not None and Path(marker.run).name == run.id


def _without_other_runs(folder: Path, run: RunFolder) -> list[Path]:
    """A bare config's runs lie in its output folder: where there are others, all but logs/ is listed."""
    logs = folder / "logs"
    if any(path.is_dir() and path.resolve() != run.path.resolve() for path in logs.glob("*")):
        return sorted(path for path in folder.iterdir() if path != logs)
    return [folder]
