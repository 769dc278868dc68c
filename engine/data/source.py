"""A project's own source file: converted and registered once, again only when the file or its mapping changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec

from engine.config.schema import DataSource
from engine.data.transform import ConvertReport, convert
from engine.fingerprints import file_sha256
from engine.outputs import move_aside
from engine.storage import write_json

RECORD = ".converted.json"


def convert_source(data: DataSource, folder: Path, *, overwrite: bool = False) -> ConvertReport | None:
    """Convert into `folder` and register there; None where that was done before with the same file and mapping.

    overwrite: files in the way that this did not make are moved aside.
    Raises ConfigError and DataError as `convert` does, also where a file of that name was not made by this.
    """
    source, record = Path(data.source), folder / RECORD
    known = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    key = None
    if source.is_file():
        key = hashlib.sha256(msgspec.json.encode(data) + file_sha256(source).encode()).hexdigest()
        before = known.get(data.name, {})
        if before.get("key") == key and all((folder / name).exists() for name in before["files"]):
            return None
    if overwrite and data.name not in known:  # files of these names are not ours
        for part in ("train", "test"):
            there = folder / f"{data.name}_{part}.json"
            if there.exists():
                move_aside(there)
    report = convert(
        source,
        folder,
        name=data.name,
        fmt=data.format,
        mapping=data.map,
        instruction=data.instruction,
        system=data.system,
        max_samples=data.max_samples,
        test_split=data.test_split,
        overwrite=overwrite or data.name in known,
    )
    files = [file.name for file in report.files]
    write_json(record, {**known, data.name: {"key": key, "files": files}}, mode=0o644)
    return report
