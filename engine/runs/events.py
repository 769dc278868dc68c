"""events.jsonl: what a run tells its viewers. One JSON object a line, one write each, at most 4 KiB."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

VERSION = 1
MAX_LINE = 4096
CLOSING = ("finished", "failed")

Event = dict[str, Any]


class EventLog:
    """The one writer of a run's events. Numbers go on where an earlier process of the same run left off."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time):
        self.clock = clock
        self._lock = threading.Lock()
        self._seq = max((event["seq"] for event in read_events(path)), default=-1) + 1
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, kind: str, **fields: Any) -> None:
        """Append one event. Text that would make the line longer than 4 KiB is cut; NaN is written as null."""
        with self._lock:
            event = {"v": VERSION, "seq": self._seq, "t": round(self.clock(), 3), "type": kind, **_finite(fields)}
            line = _encode(event)
            longest = 2048
            while len(line) > MAX_LINE and longest > 16:
                event = {name: _cut(value, longest) for name, value in event.items()}
                line, longest = _encode(event), longest // 2
            os.write(self._file, line)
            self._seq += 1


class EventReader:
    """Reads whole lines as they arrive, keeping a byte offset. Any number of readers may follow one file."""

    def __init__(self, path: Path):
        self.path = path
        self.offset = 0

    def poll(self, most: int = -1) -> list[Event]:
        """Events since the last call, of at most so many bytes; none where the file cannot be read (any more).

        A line without its end yet is left for later; one that is not JSON is passed over.
        """
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                raw = stream.read(most)
        except OSError:
            return []
        whole = raw[: raw.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [event for line in whole.splitlines() if (event := decode(line)) is not None]


def read_events(path: Path) -> Iterator[Event]:
    """Every whole event of a file; none where it does not exist."""
    yield from EventReader(path).poll()


def _encode(event: Event) -> bytes:
    return (
        json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str).encode(
            "utf-8", "backslashreplace"
        )
        + b"\n"
    )


def decode(line: bytes) -> Event | None:
    """One line as an event, or None where it is not one."""
    try:
        event = msgspec.json.decode(line)
    except msgspec.DecodeError:
        try:
            event = json.loads(line)  # several times slower, but takes lone surrogates, which foreign text may hold
        except ValueError:
            return None
    return event if isinstance(event, dict) and "type" in event and "seq" in event else None


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str) and len(value.encode("utf-8", "backslashreplace")) > longest:
        return value.encode("utf-8", "backslashreplace")[: longest - 3].decode("utf-8", "ignore") + "…"
    if isinstance(value, dict):
        kept = list(value.items())[: max(1, longest // 64)]
        return {name: _cut(inner, longest) for name, inner in kept}
    if isinstance(value, list):
        return [_cut(inner, longest) for inner in value[: max(1, longest // 64)]]
    return value
