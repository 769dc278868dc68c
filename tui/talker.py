"""A conversation beside the event loop: one thread owns the chat worker, asks it, and posts what it says."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from textual.message import Message

from engine.chat.source import ChatSource
from engine.errors import Problem
from tui.finding import problems_of

Said = list[dict[str, str]]  # [{"role": "user" | "assistant", "content": text}, …]


class Client(Protocol):
    """What `engine.chat.client.ChatClient` is to us."""

    def __enter__(self) -> Client: ...

    def __exit__(self, *_: object) -> None: ...

    def wait_ready(self) -> None:
        """Until the model is loaded."""

    def ask(self, messages: Said, voice: str) -> Iterator[str]:
        """Pieces of the answer."""

    def cancel(self) -> None:
        """End the answer that is being given."""

    def kill(self) -> None:
        """End the worker, from any thread."""


@dataclass
class Ready(Message):
    """The model is loaded; these weights can answer."""

    voices: tuple[str, ...]


@dataclass
class Answering(Message):
    """What a voice has said so far; `ended` with its last word, `stopped` where it was cut short."""

    voice: str
    text: str
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
    """Each voice remembers its own answers. `pause`: seconds between two posts of an answer that is being given."""

    def __init__(
        self,
        post: Callable[[Message], object],
        source: Callable[[], ChatSource],
        client: Callable[[ChatSource], Client],
        pause: float,
    ):
        self.post, self.source, self.client, self.pause = post, source, client, pause
        self.said: dict[str, Said] = {}
        self._asked: queue.Queue[tuple[str, Sequence[str]] | None] = queue.Queue()
        self._stop = threading.Event()
        self._closed = False
        self._worker: Client | None = None

    def start(self) -> None:
        """Load the model. Leaving never waits for the thread."""
        threading.Thread(target=self._run, daemon=True).start()

    def ask(self, question: str, voices: Sequence[str]) -> None:
        """Have the voices answer one after another."""
        self._stop.clear()
        self._asked.put((question, voices))

    def stop(self) -> None:
        """End the answer at its next word; voices that have not begun stay silent."""
        self._stop.set()

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
        worker.wait_ready()
        self.post(Ready(source.voices))
        while (request := self._asked.get()) is not None:
            question, voices = request
            for voice in voices:
                if not self._stop.is_set():
                    self._answer(worker, voice, question)
            self.post(Silent())

    def _answer(self, worker: Client, voice: str, question: str) -> None:
        said = self.said.setdefault(voice, [])
        said.append({"role": "user", "content": question})
        text, posted = "", time.monotonic()
        for piece in worker.ask([*said], voice):
            if self._stop.is_set():
                worker.cancel()
                break
            text += piece
            if time.monotonic() - posted >= self.pause:
                posted = time.monotonic()
                self.post(Answering(voice, text))
        said.append({"role": "assistant", "content": text})
        self.post(Answering(voice, text, ended=True, stopped=self._stop.is_set()))
