"""A model's download beside everything else: one at a time, and nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

from engine.builtin_model import is_builtin
from engine.errors import Problem, ProblemError
from engine.hub_refusals import is_hub_name
from engine.text import Phrase

if TYPE_CHECKING:
    from engine.wizard.desk import Progress
    from engine.wizard.session import Wizard

State = Literal["running", "done", "failed"]


class Fetcher(Protocol):
    """What fetches."""

    def download(self, name: str, progress: Progress) -> None:
        """Fetch a model, until it is there. Raises ProblemError, also where it was stopped."""
        ...

    def stop_download(self) -> None:
        """End the one that is under way; what has arrived is kept."""
        ...


@dataclass(frozen=True)
class Download:
    """How far a model's download is. what: what is done now; done, total: bytes of it, 0 while they are not known."""

    name: str
    state: State = "running"
    what: Phrase = field(default_factory=lambda: Phrase(""))
    done: int = 0
    total: int = 0
    problems: tuple[Problem, ...] = ()


class Downloads:
    """`now` is the last one that was begun, None before it and after one that was stopped. begun: whether any was.

    ended: called from another thread when one is done or has failed.
    """

    def __init__(self, fetcher: Fetcher, ended: Callable[[str], None] = lambda name: None):
        self.fetcher, self.ended = fetcher, ended
        self.now: Download | None = None
        self.begun = False
        self._number = 0
        self._lock = threading.Lock()

    @property
    def running(self) -> str:
        """The model that is fetched; empty where none is."""
        return self.now.name if self.now and self.now.state == "running" else ""

    def begin(self, name: str) -> None:
        """Fetch this one; another one that is under way is stopped."""
        if self.running == name:
            return
        self.stop()
        self.begun = True
        with self._lock:
            self.now = Download(name)
            threading.Thread(target=self._fetch, args=(name, self._number), daemon=True).start()

    def stop(self) -> None:
        """No more of it. What has arrived is kept, so that it can be gone on with."""
        with self._lock:
            going, self.now = self.running, None
            self._number += 1
        if going:
            self.fetcher.stop_download()

    def acknowledge(self) -> None:
        """One that has ended was seen."""
        with self._lock:
            if not self.running:
                self.now = None

    def _fetch(self, name: str, number: int) -> None:
        def progress(what: Phrase, done: int, total: int) -> None:
            self._change(number, what=what, done=done, total=total)

        try:
            self.fetcher.download(name, progress)
        except ProblemError as error:
            known = self._change(number, state="failed", problems=error.problems)
        except Exception as error:
            problem = Problem("internal", {"type": type(error).__name__, "reason": str(error)[:300]})
            known = self._change(number, state="failed", problems=(problem,))
        else:
            known = self._change(number, state="done")
        if known:
            self.ended(name)

    def _change(self, number: int, **changes: object) -> bool:
        """Of the one that is under way; False where it was stopped meanwhile."""
        with self._lock:
            if number != self._number or self.now is None:
                return False
            self.now = replace(self.now, **changes)  # type: ignore[arg-type]
            return True


def wanted(wizard: Wizard) -> str:
    """The chosen model where a download makes sense: it has a hub name or is the built-in one, and is not here."""
    name, found = wizard.model(), wizard.found("model")
    if not found or found["here"] or not found.get("known", True):
        return ""
    return name if is_builtin(name) or is_hub_name(name) else ""


def arrived(wizard: Wizard) -> None:
    """What was found out of models may be otherwise now: a download is there."""
    for request in [found for found in wizard.facts if found.what in ("models", "model", "hub")]:
        del wizard.facts[request]
    wizard.forget_refusals()
    wizard.reckoned.clear()
