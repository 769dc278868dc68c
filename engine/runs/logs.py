"""train.log as a person reads it: no colours or cursor movements, of progress bars only what was left standing."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from engine.text import clean

# Sequences of terminals: CSI, OSC up to its end, and the short ones.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]")


def plain_lines(raw: bytes) -> list[str]:
    """The lines of a piece of log. A line that was written over with \\r is what stood there last."""
    lines = raw.decode("utf-8", "replace").split("\n")
    if lines[-1] == "":
        lines.pop()
    return [clean(_ESCAPES.sub("", line).rstrip("\r").rpartition("\r")[2]).rstrip() for line in lines]


def tail(path: Path, lines: int = 15) -> list[str]:
    """The last lines of a log, as plain text; none where it cannot be read."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 16384))
        return plain_lines(stream.read())[-lines:]
    return []


class LogReader:
    """Reads a log as it grows, whole lines only, keeping a byte offset."""

    def __init__(self, path: Path):
        self.path = path
        self.offset = 0

    def poll(self, *, ended: bool = False, most: int = -1) -> list[str]:
        """Lines since the last call, of at most so many bytes; none where the file cannot be read.

        `ended`: also a last one without its end.
        """
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                raw = stream.read(most)
        except OSError:
            return []
        whole = raw if ended else raw[: raw.rfind(b"\n") + 1]
        self.offset += len(whole)
        return plain_lines(whole)
