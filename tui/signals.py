"""Signals end the wizard in order: the terminal is restored and the answers are kept."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

CODES = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}


def catch_signals(leave: Callable[[int], None]) -> None:
    """Call `leave` with the exit code that a shell knows the signal by."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread, which no signal reaches
        for number, code in CODES.items():
            loop.add_signal_handler(number, leave, code)
