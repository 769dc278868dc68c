"""No key waits: what takes its time is done beside the loop that the keys come through."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.pilot.every import EVERY, opened, settled

KEYS = ("down", "down", "up", "pagedown", "home")
OTHERS = ("subprocess.Popen", "os.listdir", "os.scandir", "socket.connect")
CODE = (".py", ".pyc", ".so")  # what is imported when it is first needed
# A person's own presets and what earlier runs measured: looked at anew, so that what has just been written counts.
KNOWN = ("sft-wizard/presets", "sft-wizard/memory.jsonl")


class Watch:
    """Files that the thread of the keys opens, and programs that it starts. An audit hook stays, so it can be off."""

    def __init__(self) -> None:
        self.on, self.seen = False, []  # type: tuple[bool, list[tuple[str, str]]]
        self.thread = 0
        sys.addaudithook(self.note)

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and threading.get_ident() == self.thread:
            if event == "open" and isinstance(arguments[0], str) and not arguments[0].endswith(CODE + KNOWN):
                self.seen.append((event, arguments[0]))
            elif event in OTHERS and not str(arguments[0]).endswith(KNOWN):
                self.seen.append((event, str(arguments[0])))


WATCH = Watch()


@pytest.mark.parametrize("name", EVERY)
async def test_no_key_reads_a_disk(name: str, cwd: Path) -> None:
    """A home folder on a network may take seconds for a small file, and the keys would be dead meanwhile."""
    async with opened(name, cwd) as (pilot, _app):
        WATCH.thread, WATCH.seen = threading.get_ident(), []
        WATCH.on = True
        try:
            await pilot.press(*KEYS)
            await settled(pilot)
        finally:
            WATCH.on = False
    assert not WATCH.seen
