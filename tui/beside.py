"""Work beside the event loop, in threads that leaving does not wait for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from textual.message import Message

from engine.errors import Problem
from tui.finding import problems_of


def beside(
    post: Callable[[Message], object],
    work: Callable[[], Message],
    refused: Callable[[tuple[Problem, ...]], Message],
) -> None:
    """Post what `work` returns, or what `refused` makes of its problems."""

    def run() -> None:
        with contextlib.suppress(RuntimeError):  # the app has ended meanwhile
            try:
                message = work()
            except Exception as error:
                message = refused(problems_of(error))
            post(message)

    threading.Thread(target=run, daemon=True).start()
