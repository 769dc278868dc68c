"""What lies in a folder, for someone who looks for a file or a model: only what can be chosen or entered."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import Problem

MODEL_FILE = "config.json"
WEIGHTS = (".safetensors", ".bin")
LOOKED_INTO = 500  # folders whose contents are looked at; further ones are listed as they are
LOOKED_AT = 2000  # entries of such a folder

Kind = Literal["folder", "file", "model"]


@dataclass(frozen=True)
class Wanted:
    """What may be chosen: files with one of `suffixes`, or with `models` folders that hold a model."""

    suffixes: tuple[str, ...] = ()
    models: bool = False


@dataclass(frozen=True)
class Entry:
    """One line of a folder. size: bytes of a file or of a model's weights. held: files of a folder that may be chosen,
    or with `more` the least there are.

    reason: why a folder cannot be looked into; empty where it can.
    """

    name: str
    kind: Kind
    size: int | None = None
    held: int = 0
    more: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Listing:
    """A folder's entries: models and folders first, then files, by name. problem: why there is nothing to list.

    hidden: entries left out because their names begin with a dot. others: files that cannot be chosen. empty: folders
    left out because there is nothing to choose or to enter in them.
    """

    folder: Path
    entries: tuple[Entry, ...] = ()
    hidden: int = 0
    others: int = 0
    empty: int = 0
    problem: Problem | None = None


def browse(folder: Path, wanted: Wanted, *, hidden: bool = False) -> Listing:
    """What of a folder can be chosen or entered. Takes as long as the disk does; nothing is raised.

    A folder is left out where it holds neither what is wanted nor folders; with `hidden` dot files are listed too.
    """
    try:
        with os.scandir(folder) as found:
            inside = list(found)
    except OSError as error:
        return Listing(folder, problem=Problem("folder_unreadable", {"reason": error.strerror}, file=str(folder)))
    entries: list[Entry] = []
    left_out = others = looked = empty = 0
    for item in inside:
        if item.name.startswith(".") and not hidden:
            left_out += 1
        elif _is_folder(item):
            looked += 1
            entry = _folder(item, wanted) if looked <= LOOKED_INTO else Entry(item.name, "folder")
            entries += [entry] if entry else []
            empty += entry is None
        elif (size := _size(item)) is not None:  # no pipe, no device, no broken link
            chosen = Path(item.name).suffix.lower() in wanted.suffixes
            entries += [Entry(item.name, "file", size)] if chosen else []
            others += not chosen
    order = {"model": 0, "folder": 1, "file": 2}
    entries.sort(key=lambda entry: (order[entry.kind], entry.name.casefold(), entry.name))
    return Listing(folder, tuple(entries), left_out, others, empty)


def nearest_folder(path: Path) -> Path:
    """`path` where it is a folder, else the nearest one above it that is there."""
    for place in (path, *path.parents):
        try:
            if place.is_dir():
                return place
        except OSError:  # no right to look, or a name that is too long
            continue
    return Path("/")


def _folder(item: os.DirEntry[str], wanted: Wanted) -> Entry | None:
    held = weights = folders = 0
    configured = more = False
    try:
        with os.scandir(item) as inside:
            for number, found in enumerate(inside):
                if number == LOOKED_AT:  # more than can be said in the time
                    more = True
                    break
                suffix = Path(found.name).suffix.lower()
                held += suffix in wanted.suffixes
                if wanted.models and suffix in WEIGHTS:
                    weights += _size(found) or 0
                configured |= found.name == MODEL_FILE
                folders += not found.name.startswith(".") and _is_folder(found)
    except OSError as error:
        return Entry(item.name, "folder", reason=error.strerror or str(error))
    if wanted.models and configured and weights:
        return Entry(item.name, "model", weights)
    return Entry(item.name, "folder", held=held, more=more) if held or folders or more else None


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:
        return False


def _size(item: os.DirEntry[str]) -> int | None:
    """Bytes of a regular file; None for everything else."""
    try:
        found = item.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
