"""Stopping a run and starting it again from the screen: the engine's work, in threads that post what came of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from textual.message import Message

from engine.errors import Problem
from engine.runs import control
from engine.runs.folder import RunFolder
from engine.runs.retry import Retry
from engine.text import Phrase
from engine.wizard.desk import Desk, Started
from tui.beside import beside
from tui.finding import Progressed

Post = Callable[[Message], object]


class StopAsked(Message):
    """The run was asked to stop, or why it could not be."""

    def __init__(self, problems: tuple[Problem, ...]):
        super().__init__()
        self.problems = problems


class Resumed(Message):
    """The run was started again, or why it could not be."""

    def __init__(self, started: Started | None, problems: tuple[Problem, ...] = ()):
        super().__init__()
        self.started, self.problems = started, problems


def stop(run: RunFolder, post: Post) -> None:
    """Ask it to save and end; posts StopAsked."""

    def work() -> StopAsked:
        control.stop(run)
        return StopAsked(())

    beside(post, work, StopAsked)


def start_again(desk: Desk, run: RunFolder, retry: Retry, post: Post, tell: Post) -> None:
    """Once more, with this changed; posts Resumed, and tells Progressed meanwhile."""

    def progress(what: Phrase, done: int, total: int) -> None:
        tell(Progressed(what, done, total))

    beside(post, lambda: Resumed(desk.resume(run, retry, progress)), partial(Resumed, None))
