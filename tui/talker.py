"""A conversation beside the event loop: one thread owns the chat worker, asks it, and posts what it says."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from textual.message import Message

from engine.chat.needs import Needs, needs
from engine.chat.options import ChatOptions
from engine.chat.source import ChatSource, find_source, run_source
from engine.errors import Problem
from engine.hardware import host, probe
from engine.runs.figures import training_run
from engine.runs.folder import RunFolder
from engine.text import Phrase
from tui.finding import problems_of

Said = list[dict[str, str]]  # [{"role": "user" | "assistant", "content": text}, …]


class Client(Protocol):
    """What `engine.chat.client.ChatClient` is to us."""

    options: dict[str, Any]
    questions: list[str]
    tokens: int

    @property
    def speed(self) -> float:
        """Tokens a second."""

    def __enter__(self) -> Client: ...

    def __exit__(self, *_: object) -> None: ...

    def wait_ready(self, loading: Callable[[str, int, int], object]) -> None:
        """Until the model is loaded."""

    def ask(self, messages: Said, voice: str) -> Iterator[str]:
        """Pieces of the answer."""

    def cancel(self) -> None:
        """End the answer that is being given."""

    def kill(self) -> None:
        """End the worker, from any thread."""


@dataclass
class Loading(Message):
    """What is being loaded (libraries, weights, adapter) and how far it is; total 0 where one cannot know."""

    what: str
    done: int
    total: int

    def can_replace(self, message: Message) -> bool:
        """Only the latest counts."""
        return isinstance(message, Loading)


@dataclass
class Sized(Message):
    """What there is to talk to, and what it will take."""

    source: ChatSource
    needs: Needs


@dataclass
class Ready(Message):
    """The model is loaded; these weights can answer. questions: of the data, to begin with."""

    voices: tuple[str, ...]
    questions: list[str]


@dataclass
class Answering(Message):
    """What a voice has said so far, in how many tokens and how fast; `ended` with its last word, `stopped` where it was
    cut short."""

    voice: str
    text: str
    tokens: int = 0
    speed: float = 0.0
    ended: bool = False
    stopped: bool = False

    def can_replace(self, message: Message) -> bool:
        """A longer piece of the same answer says all that the shorter one did."""
        return isinstance(message, Answering) and message.voice == self.voice and not message.ended


@dataclass
class Silent(Message):
    """Everything that was asked is answered."""


@dataclass
class TalkFailed(Message):
    """The model could not be loaded, or the worker is gone."""

    problems: tuple[Problem, ...]


class Talker:
    """Each voice remembers its own answers: `said`, which a later talker may go on with.

    pause: seconds between two posts of an answer that is being given. size: what a source takes; blocks.
    """

    def __init__(
        self,
        post: Callable[[Message], object],
        source: Callable[[], ChatSource],
        client: Callable[[ChatSource], Client],
        pause: float,
        size: Callable[[ChatSource], Needs],
        said: dict[str, Said] | None = None,
    ):
        self.post, self.source, self.client, self.pause, self.size = post, source, client, pause, size
        self.said: dict[str, Said] = said or {}
        self._asked: queue.Queue[tuple[str, Sequence[str], ChatOptions] | None] = queue.Queue()
        self._stop = threading.Event()
        self._closed = False
        self._worker: Client | None = None

    def start(self) -> None:
        """Load the model. Leaving never waits for the thread."""
        threading.Thread(target=self._run, daemon=True).start()

    def ask(self, question: str, voices: Sequence[str], options: ChatOptions) -> None:
        """Have the voices answer one after another."""
        self._stop.clear()
        self._asked.put((question, voices, options))

    def stop(self) -> None:
        """End the answer at its next word; voices that have not begun stay silent."""
        self._stop.set()

    def forget(self) -> None:
        """What was said counts for nothing from the next question on. Not while somebody answers."""
        self.said.clear()

    def close(self) -> None:
        """End the worker, whatever it is doing."""
        self._closed = True
        self._asked.put(None)
        if self._worker:
            self._worker.kill()

    def _run(self) -> None:
        with contextlib.suppress(RuntimeError):  # the app has ended meanwhile
            try:
                source = self.source()
                if self._closed:
                    return
                self.post(Sized(source, self.size(source)))
                with self.client(source) as worker:
                    self._worker = worker
                    self._serve(source, worker)
            except Exception as error:
                if not self._closed:
                    self.post(TalkFailed(problems_of(error)))

    def _serve(self, source: ChatSource, worker: Client) -> None:
        if self._closed:  # while the worker was being started
            worker.kill()
            return
        worker.wait_ready(lambda what, done, total: self.post(Loading(what, done, total)))
        self.post(Ready(source.voices, worker.questions))
        while (request := self._asked.get()) is not None:
            question, voices, options = request
            worker.options.update(options.sampling)
            for voice in voices:
                if not self._stop.is_set():
                    self._answer(worker, voice, question, options.system)
            self.post(Silent())

    def _answer(self, worker: Client, voice: str, question: str, system: str) -> None:
        said = self.said.get(voice, [])
        asked = [*said, {"role": "user", "content": question}]
        opening = [{"role": "system", "content": system}] if system else []
        text, posted = "", time.monotonic()
        for piece in worker.ask([*opening, *asked], voice):
            if self._stop.is_set():
                worker.cancel()
                break
            text += piece
            if time.monotonic() - posted >= self.pause:
                posted = time.monotonic()
                self.post(Answering(voice, text, worker.tokens, worker.speed))
        self.said[voice] = [*asked, {"role": "assistant", "content": text}]
        stopped = self._stop.is_set()
        self.post(Answering(voice, text, worker.tokens, worker.speed, ended=True, stopped=stopped))


def source_of(run: RunFolder | None, config: Path | None, *, processor: bool = False) -> ChatSource:
    """What a run made, else what the config it would have been made from. Blocks. Raises ProblemError.

    Of a run that only merged, as the run before it trained. processor: leave a GPU idle.
    """
    given = run.config() if run else {}
    merged = given.get("merge", {}).get("adapter") if "train" not in given else None
    trained = training_run(Path(merged)) if merged else None
    found = (run_source(trained.config() if trained else given) if run else None) or find_source(str(config), _unseen)
    return replace(found, use_cpu=found.use_cpu or processor)


def size_of(source: ChatSource) -> Needs:
    """What it takes of this machine. Blocks."""
    return needs(source, probe(), host())


def _unseen(what: Phrase, done: int, total: int) -> None:
    """Nothing is fetched here that the run did not have."""
