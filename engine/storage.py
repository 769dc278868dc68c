"""Where this tool keeps things of its own, and writes that are whole or not there at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs

APP = "sft-wizard"


def cache_folder(*parts: str) -> Path:
    """A private (0700) folder under the user's cache, e.g. ~/.cache/sft-wizard/models. XDG_CACHE_HOME is respected."""
    return private_folder(Path(platformdirs.user_cache_path(APP), *parts))


def state_folder(*parts: str) -> Path:
    """A private (0700) folder under the user's state, e.g. ~/.local/state/sft-wizard/runs."""
    return private_folder(Path(platformdirs.user_state_path(APP), *parts))


def private_folder(path: Path) -> Path:
    """`path`, made with mode 0700 where it does not exist."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def write_whole(path: Path, data: str | bytes, mode: int = 0o600) -> None:
    """Replace `path` by `data` in one step: a reader or a crash sees the old file or the new one."""
    raw = data.encode() if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, mode)  # noqa: PTH101 -- the name is mkstemp's
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        raise


def write_json(path: Path, value: Any, mode: int = 0o600) -> None:
    """`write_whole` of JSON; NaN and infinity are refused, since other readers choke on them."""
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", mode)


def free_bytes(folder: Path) -> int:
    """Free space for this user on the disk that `folder`, or its nearest existing parent, lies on."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


@contextlib.contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` that becomes `target` when the block ends well, and disappears when it does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield stage
        stage.rename(target)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise
