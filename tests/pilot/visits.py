"""Visits screens in a process of their own: what is loaded for them, and what their keys wait for.

`visit(names)`, in a home of the test's own, prints a line of JSON: {modules: names, waits: {screen: [[event, what]]}}.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.pilot.every import opened
from tests.pilot.fakes import settled

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


def visit(names: Iterable[str]) -> None:
    """Visit these screens, and tell."""
    waits = asyncio.run(_visit(names))
    print(json.dumps({"modules": sorted({name.partition(".")[0] for name in sys.modules}), "waits": waits}))


async def _visit(names: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    waits, watch = {}, Watch()
    for name in names:
        cwd = Path(tempfile.mkdtemp(dir=Path.cwd())) / "work"
        cwd.mkdir()
        async with opened(name, cwd) as (pilot, _app):
            watch.thread, watch.seen = threading.get_ident(), []
            watch.on = True
            await pilot.press(*KEYS)
            await settled(pilot)
            watch.on = False
        if watch.seen:
            waits[name] = watch.seen
    return waits
