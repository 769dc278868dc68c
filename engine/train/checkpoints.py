"""Checkpoints that can be trusted: a manifest written last vouches for every file of one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from engine.errors import Problem
from engine.storage import write_json
from engine.text import Phrase

MANIFEST = "MANIFEST.json"
NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state.pth")
WEIGHTS = ("adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json")  # one of them

PICKLED = {".pt", ".pth", ".bin", ".pkl"}  # what Trainer would unpickle when it finds one


def write_manifest(folder: Path) -> None:
    """Sync every file of a checkpoint to disk, then record size and sha256 of each."""
    files = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        files[str(file.relative_to(folder))] = {"size": file.stat().st_size, "sha256": digest}
    write_json(folder / MANIFEST, {"files": files}, mode=0o644)


def damage(folder: Path) -> Phrase | None:
    """Why a checkpoint cannot be resumed from, or None."""
    try:
        files = {name: entry["sha256"] for name, entry in json.loads((folder / MANIFEST).read_text())["files"].items()}
    except OSError:
        return Phrase("it was not finished")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Phrase("{file} is damaged", {"file": MANIFEST})
    for name in NEEDED:
        if name not in files:
            return Phrase("it has no {file}", {"file": name})
    if not any(name in files for name in WEIGHTS):
        return Phrase("it has no {file}", {"file": WEIGHTS[0]})
    for name, expected in files.items():
        try:
            with (folder / name).open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != expected:
                    return Phrase("{file} is damaged", {"file": name})
        except OSError:
            return Phrase("{file} is missing", {"file": name})
    for file in folder.iterdir():
        if file.suffix in PICKLED and file.name not in files:
            return Phrase("{file} was added later", {"file": file.name})
    return None


def checkpoints(output_dir: Path) -> list[Path]:
    """Checkpoint folders, newest (highest step) first."""
    found = [(int(match[1]), path) for path in output_dir.glob("checkpoint-*") if (match := _STEP.fullmatch(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def newest_good(output_dir: Path) -> tuple[Path | None, list[Problem]]:
    """The newest checkpoint that its manifest vouches for, and a warning for each newer one that is passed over."""
    warnings: list[Problem] = []
    for folder in checkpoints(output_dir):
        reason = damage(folder)
        if reason is None:
            return folder, warnings
        warnings.append(Problem("checkpoint_damaged", {"path": str(folder), "reason": reason}, severity="warning"))
    return None, warnings


def step_of(folder: Path) -> int:
    """Optimiser step of a checkpoint folder by its name; -1 for another name."""
    match = _STEP.fullmatch(folder.name)
    return int(match[1]) if match else -1


def prune_checkpoints(written: Path, keep: int | None, spare: str | None = None) -> None:
    """Delete all but the newest `keep` checkpoints up to `written`, the one just finished, and `spare`. None keeps all.

    Later ones were damaged and passed over when the run was resumed: they must not push out the good ones.
    """
    if keep is None:
        return
    found = checkpoints(written.parent)
    for folder in found[found.index(written) :][keep:]:
        if spare is None or folder.name != Path(spare).name:
            shutil.rmtree(folder, ignore_errors=True)


_STEP = re.compile(r"checkpoint-(\d+)")
