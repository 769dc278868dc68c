"""Signals and a lost terminal end the wizard in order: the terminal is restored and the answers are kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable

CODES = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}
LOST = CODES[signal.SIGHUP]
LAST_SECONDS = 3.0  # for what is kept: the home folder may be out of reach as well


def catch_signals(leave: Callable[[int], None]) -> None:
    """Call `leave` with the exit code that a shell knows the signal by."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread, which no signal reaches
        for number, code in CODES.items():
            loop.add_signal_handler(number, leave, code)


def vanish(keep: Callable[[], None], code: int) -> None:
    """End at once, after `keep`: the terminal has gone.

    With SIGHUP the kernel sends SIGCONT, at which Textual sets the terminal up once more; then it would wait for ever
    for a thread that died of writing there.
    """
    last = threading.Thread(target=keep, daemon=True)
    last.start()
    last.join(LAST_SECONDS)
    os._exit(code)
