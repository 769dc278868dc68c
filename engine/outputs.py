"""Whose output folder is this? A small marker in it tells a finished run from an interrupted one and from another's."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, replace
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
    base was held in training (bits, type, double, dtype), None where it was not quantised; positions: what training
    changed in its configuration (max_position_embeddings, rope_parameters), None where it stretched none.
    """

    fingerprint: str
    run: str
    finished: bool
    quantization: dict[str, Any] | None = None
    positions: dict[str, Any] | None = None


def lock_path(folder: Path) -> Path:
    """The lock of an output folder lies beside it, so that the folder itself can be renamed or appear by rename."""
    return folder.parent / f".{folder.name}.lock"


def read_marker(folder: Path) -> Marker | None:
    """The marker of an output folder, or None."""
    try:
        raw = json.loads((folder / MARKER).read_text())
        return Marker(raw["fingerprint"], raw["run"], raw["finished"], raw.get("quantization"), raw.get("positions"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def adapter_marker(adapter: Path) -> Marker | None:
    """The marker that goes with an adapter: in its folder, or in the one that holds the checkpoint that it is."""
    return read_marker(adapter) or read_marker(adapter.parent)


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


def mark_started(
    folder: Path,
    fingerprint: str,
    run: Path,
    quantization: dict[str, Any] | None = None,
    positions: dict[str, Any] | None = None,
) -> None:
    """Claim a folder for a run. `quantization` and `positions` are of the base that an adapter is trained on."""
    _write(folder, Marker(fingerprint, str(run), False, quantization, positions))


def mark_finished(folder: Path, fingerprint: str | None = None, run: Path | None = None) -> None:
    """Say that what is in the folder is whole."""
    before = read_marker(folder) or Marker("", "", False)
    wrote = str(run) if run else before.run
    _write(folder, replace(before, fingerprint=fingerprint or before.fingerprint, run=wrote, finished=True))


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
    said |= {name: value for name in ("quantization", "positions") if (value := getattr(marker, name))}
    write_json(folder / MARKER, said, mode=0o644)
