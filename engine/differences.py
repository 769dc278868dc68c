"""How files that would be written differ from those that are there: lines with + and -, of a bounded length."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from engine.project import PlannedFile
from engine.text import Phrase

LARGEST = 2_000_000  # bytes of a file that is compared
MOST_LINES = 3_000  # of a file that is compared: difflib takes the square of them at worst
SHOWN = 200  # lines of one difference
LONGEST = 400  # characters of a line
CONTEXT = 2


@dataclass(frozen=True)
class Difference:
    """Of one file. lines: each begins with `-` (is there), `+` (would be), a space (both) or `@` (which lines).

    left_out: lines that are not shown. instead: why there are none, where the two cannot be compared.
    """

    path: str
    lines: tuple[str, ...] = ()
    left_out: int = 0
    instead: Phrase | None = None


def differences(folder: Path, files: Iterable[PlannedFile]) -> tuple[Difference, ...]:
    """Of all that are there already and would become others. Reads them: call it beside the keyboard's thread."""
    return tuple(_difference(folder / file.path, file) for file in files if file.state in ("in the way", "added to"))


def _difference(there: Path, file: PlannedFile) -> Difference:
    try:
        if not there.is_file():
            return Difference(file.path, instead=Phrase("A folder or something else that is no file has this name."))
        size = there.stat().st_size
        if size > LARGEST:
            told = {"size": f"{size / 1e6:.1f}"}
            return Difference(file.path, instead=Phrase("There are {size} MB, too much to be compared.", told))
        raw = there.read_bytes()
    except OSError as error:
        return Difference(file.path, instead=Phrase("It cannot be read: {reason}", {"reason": error.strerror or error}))
    if b"\0" in raw:
        return Difference(file.path, instead=Phrase("What is there is no text."))
    old, new = raw.decode("utf-8", errors="replace").splitlines(), file.content.splitlines()
    if max(len(old), len(new)) > MOST_LINES:
        counts = {"old": len(old), "new": len(new)}
        return Difference(file.path, instead=Phrase("{old} lines are there, {new} would be.", counts))
    lines = list(_unified(old, new))
    if not lines:
        return Difference(file.path, instead=Phrase("Only the ends of lines differ."))
    return Difference(file.path, tuple(lines[:SHOWN]), max(len(lines) - SHOWN, 0))


def _unified(old: list[str], new: list[str]) -> Iterator[str]:
    """difflib's lines without its two of file names, each cut."""
    for line in islice(difflib.unified_diff(old, new, lineterm="", n=CONTEXT), 2, None):
        yield line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
