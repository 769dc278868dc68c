"""Whose output folder is this? A small marker in it tells a finished run from an interrupted one and from another's."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import ConfigError, Problem
from engine.storage import write_json

MARKER = "sft_wizard.json"
_OURS = {MARKER, "logs"}

Standing = Literal["absent", "interrupted", "finished", "other", "foreign"]


@dataclass(frozen=True)
class Marker:
    """fingerprint: hash of what determines the result; run: folder of the run that wrote here; quantization: how the
    base was held in training (bits, type, double, dtype), None where it was not quantised.
    """

    fingerprint: str
    run: str
    finished: bool
    quantization: dict[str, Any] | None = None


def lock_path(folder: Path) -> Path:
    """The lock of an output folder lies beside it, so that the folder itself can be renamed or appear by rename."""
    return folder.parent / f".{folder.name}.lock"


def read_marker(folder: Path) -> Marker | None:
    """The marker of an output folder, or None."""
    try:
        raw = json.loads((folder / MARKER).read_text())
        return Marker(raw["fingerprint"], raw["run"], raw["finished"], raw.get("quantization"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def standing(folder: Path, fingerprint: str) -> Standing:
    """absent: nothing of worth there; interrupted or finished: by this very config; other: by another config of ours;

    foreign: files that we did not write. Raises ConfigError where the path cannot be a folder.
    """
    there = next(part for part in (folder, *folder.absolute().parents) if part.exists())
    if not there.is_dir():
        raise ConfigError(Problem("output_is_file", {"folder": str(folder), "file": str(there)}))
    if not folder.is_dir() or all(entry.name in _OURS for entry in folder.iterdir() if entry.name != MARKER):
        marker = read_marker(folder)
        return "absent" if marker is None or marker.fingerprint != fingerprint else "interrupted"
    marker = read_marker(folder)
    if marker is None:
        return "foreign"
    if marker.fingerprint != fingerprint:
        return "other"
    return "finished" if marker.finished else "interrupted"


def mark_started(folder: Path, fingerprint: str, run: Path, quantization: dict[str, Any] | None = None) -> None:
    """Claim a folder for a run. `quantization`: of the base that an adapter is trained on, as the export reads it."""
    _write(folder, Marker(fingerprint, str(run), False, quantization))


def mark_finished(folder: Path, fingerprint: str | None = None, run: Path | None = None) -> None:
    """Say that what is in the folder is whole."""
    before = read_marker(folder)
    print_ = fingerprint or (before.fingerprint if before else "")
    wrote = str(run) if run else before.run if before else ""
    _write(folder, Marker(print_, wrote, True, before.quantization if before else None))


def move_aside(folder: Path) -> Path:
    """Rename a folder to make room; nothing is deleted. Returns where it went."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    for attempt in range(1000):
        target = folder.with_name(f"{folder.name}.{stamp}" + (f"-{attempt}" if attempt else ""))
        if not target.exists():
            break
    return folder.rename(target)


def _write(folder: Path, marker: Marker) -> None:
    said: dict[str, Any] = {"fingerprint": marker.fingerprint, "run": marker.run, "finished": marker.finished}
    if marker.quantization:
        said["quantization"] = marker.quantization
    write_json(folder / MARKER, said, mode=0o644)
