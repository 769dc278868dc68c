"""The folder a result grows in: beside its target, locked while its process lives, renamed when it is whole."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".sft-wizard-merge.lock"


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yield a fresh folder `.NAME.xxxxxxxx` beside `target`; rename it to `target` at the end, remove it on any error.

    `target` must not exist or be an empty folder. Its mode follows the umask. Stages that dead processes left are
    removed first.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(target)
    stage, lock = _create(target)
    try:
        yield stage
        (stage / LOCK).unlink()
        for path in stage.rglob("*"):
            _fsync(path)
        _fsync(stage)
        stage.rename(target)
        _fsync(target.parent)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise
    finally:
        os.close(lock)


@contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target` for what is needed on the way, and remove it in any case."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(target)
    folder, lock = _create(target)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_stale(target: Path) -> list[Path]:
    """Remove stages of `target` whose process is gone, and return them. A stage without our lock file is not ours."""
    pattern = re.compile(re.escape(f".{target.name}.") + "[0-9a-f]{8}")
    removed = []
    for folder in target.parent.iterdir():
        if pattern.fullmatch(folder.name) and (folder / LOCK).is_file():
            with suppress(OSError):
                lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
                    removed.append(folder)
                finally:
                    os.close(lock)
    return removed


def _create(target: Path) -> tuple[Path, int]:
    stage = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    stage.mkdir()
    lock = os.open(stage / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with suppress(OSError):  # filesystems without locks: then nobody removes the stage either
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return stage, lock


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
