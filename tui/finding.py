"""Looks things up for the wizard beside its event loop, and posts what was found to the app."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.message import Message

from engine.errors import Problem, ProblemError
from engine.text import Phrase
from engine.wizard.desk import Desk, Started
from engine.wizard.questions import Request
from engine.wizard.session import Wizard


@dataclass
class Found(Message):
    """A request was answered."""

    request: Request
    found: Any


@dataclass
class Refused(Message):
    """A request failed."""

    request: Request
    problems: tuple[Problem, ...]


@dataclass
class Progressed(Message):
    """How far the start is; `total` is 0 where it is not known."""

    what: Phrase
    done: int
    total: int


@dataclass
class StartDone(Message):
    """The start ended: `started`, or why there is none."""

    started: Started | None
    problems: tuple[Problem, ...] = ()


class NotStarted(Message):
    """The app's `refusal` is news for the screen that is seen."""


@dataclass
class Fetched(Message):
    """The download of a model ended: it is here, or `Downloads.now` says why not."""

    name: str


class Lookups:
    """One daemon thread a request: the desk may block for as long as it likes, and quitting never waits for it.

    under_way: {request: when it was asked, by `clock`}.
    """

    def __init__(self, app: App[Any], desk: Desk, clock: Callable[[], float] = time.monotonic):
        self.app, self.desk, self.clock = app, desk, clock
        self.under_way: dict[Request, float] = {}
        self._round = 0

    def want(self, requests: Iterable[Request]) -> None:
        """Look these up, and end what is not wanted any more."""
        wanted = list(dict.fromkeys(requests))
        if any(request not in wanted for request in self.under_way):
            self._round += 1  # what is killed now has nothing to say
            self.desk.cancel()
            self.under_way.clear()
        for request in wanted:
            if request not in self.under_way:
                self.under_way[request] = self.clock()
                self._thread(self._find, request, self._round)

    def elapsed(self, requests: Iterable[Request]) -> tuple[Request, int] | None:
        """The one of these that is looked up longest, and for how many seconds."""
        times = {request: self.under_way[request] for request in requests if request in self.under_way}
        if not times:
            return None
        oldest = min(times, key=lambda request: times[request])
        return oldest, int(self.clock() - times[oldest])

    def fetched(self, name: str) -> None:
        """Called where a download ends, in its thread."""
        self._post(Fetched(name))

    def start(self, wizard: Wizard) -> None:
        """Start the run of these answers."""
        self._thread(self._start, wizard)

    def _thread(self, work: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _find(self, request: Request, asked_in: int) -> None:
        try:
            self._post(Found(request, self.desk.find(request, lambda what, done, total: None)))
        except Exception as error:
            if asked_in == self._round:
                self._post(Refused(request, problems_of(error)))

    def _start(self, wizard: Wizard) -> None:
        def progress(what: Phrase, done: int, total: int) -> None:
            self._post(Progressed(what, done, total))

        try:
            self._post(StartDone(self.desk.start(wizard, progress)))
        except Exception as error:
            self._post(StartDone(None, problems_of(error)))

    def _post(self, message: Message) -> None:
        with contextlib.suppress(RuntimeError):  # the app has ended meanwhile
            self.app.post_message(message)


def problems_of(error: Exception) -> tuple[Problem, ...]:
    """Why a thread came to nothing; what nobody expected is a problem as well."""
    if isinstance(error, ProblemError):
        return error.problems
    return (Problem("internal", {"type": type(error).__name__, "reason": str(error)[:300]}),)
