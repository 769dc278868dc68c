"""Keys one at a time: the next is looked at once everything is done that the one before it caused.

Textual sends a key to what has the focus at that moment, looks for its binding after it has bubbled up, and waits for
neither. Keys that arrive together, as over a slow line, would overtake one another: letters the Ctrl+U before them, a
name the Enter that opens its line, a Ctrl+C the Enter before it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from textual.app import App, ScreenStackError
from textual.events import Event
from textual.message_pump import MessagePump

ROUNDS = 4  # a list tells its form, the form its screen, the screen moves the focus, what has it then gets ready
LONGEST = 1.0  # seconds that a key waits for the one before it: something may hang, and Ctrl+C has to come through


class Keyboard:
    """`strike` takes keys and pastes as they arrive; `handle` gets them in turn."""

    def __init__(self, app: App[int], handle: Callable[[Event], Awaitable[None]]):
        self._app, self._handle = app, handle
        self._waiting: deque[Event] = deque()
        self._serving: asyncio.Task[None] | None = None  # kept, since the loop itself forgets its tasks

    def strike(self, event: Event) -> None:
        """The next key."""
        self._waiting.append(event)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        try:
            while self._waiting:
                await self._handle(self._waiting.popleft())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._settle(), LONGEST)
        except Exception as error:  # as Textual does with what is raised while it handles a message
            self._app._handle_exception(error)

    async def _settle(self) -> None:
        """Wait until all have read what was sent to them, from what has the focus up to the app."""
        for _round in range(ROUNDS):
            try:
                target = self._app.focused or self._app.screen
            except ScreenStackError:  # all closes
                return
            for node in target.ancestors_with_self:
                await _read(node)


async def _read(node: MessagePump) -> None:
    """Wait until a node has handled what was sent to it till now; one that closes takes nothing more."""
    done = asyncio.Event()
    if node.call_later(done.set):
        await done.wait()
