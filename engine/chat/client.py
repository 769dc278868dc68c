"""The viewer's side of a chat: starts the worker, asks, yields the pieces of an answer. No torch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from engine.chat.source import ChatSource
from engine.errors import Problem, RunError
from engine.hardware import visible_device
from engine.runs.launch import python_module, worker_environment

Loading = Callable[[str, int, int], object]  # what is being loaded (libraries, weights, adapter), done, total or 0


class ChatClient:
    """A context manager around one worker. `voice` is one of the source's voices.

    questions: to begin with, out of the data, once the model is loaded. tokens, seconds: of the last answer so far, the
    seconds since its first token. options: how answers are drawn; what is changed holds from the next question on.
    """

    def __init__(
        self, source: ChatSource, log: Path, *, max_new_tokens: int | None = None, temperature: float | None = None
    ):
        """What is None is the source's, or 512 tokens and temperature 0."""
        self.source = source
        self.log = log
        given = {"max_new_tokens": max_new_tokens, "temperature": temperature}
        self.options = {"max_new_tokens": 512, "temperature": 0.0, **source.sampling}
        self.options |= {name: value for name, value in given.items() if value is not None}
        self.questions: list[str] = []
        self.tokens, self.seconds = 0, 0.0
        self.process: subprocess.Popen[str]

    def __enter__(self) -> ChatClient:
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                python_module("engine.chat.serve"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                start_new_session=True,
                env={**worker_environment(), **visible_device(use_cpu=self.source.use_cpu)},
            )
        self._send(source=self.source.as_dict())
        return self

    def __exit__(self, *_: object) -> None:
        self._stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def kill(self) -> None:
        """End the worker at once, from any thread: a chat has nothing to save. Whoever waits for it gets a RunError."""
        self.process.kill()

    def wait_ready(self, loading: Loading = lambda what, done, total: None) -> None:
        """Until the model is loaded. Raises RunError where it cannot be."""
        while "ready" not in (message := self._receive()):
            loading(message["loading"], message["done"], message["total"])
        self.questions = message["questions"]

    def ask(self, messages: list[dict[str, str]], voice: str) -> Iterator[str]:
        """Pieces of the answer to the last message."""
        self.tokens, self.seconds = 0, 0.0
        self._send(ask=messages, base=voice == "base", **self.options)
        while "done" not in (message := self._receive()):
            self.tokens, self.seconds = message["tokens"], message["seconds"]
            yield message["piece"]
        self.tokens, self.seconds = message["tokens"], message["seconds"]

    def cancel(self) -> None:
        """End the answer that is being given; what is left of it is dropped."""
        self._send(cancel=True)
        while "done" not in self._receive():
            pass

    @property
    def speed(self) -> float:
        """Tokens a second after the first, which waits for the question to be read; 0 where there is no telling."""
        return (self.tokens - 1) / self.seconds if self.tokens > 1 and self.seconds > 0 else 0.0

    @property
    def _stdin(self) -> TextIO:
        assert self.process.stdin is not None
        return self.process.stdin  # type: ignore[return-value]

    def _send(self, **message: Any) -> None:
        try:
            self._stdin.write(json.dumps(message) + "\n")
            self._stdin.flush()
        except BrokenPipeError:
            pass  # its last words are read next

    def _receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            how = f"exit code {self.process.wait()}"
            raise RunError(Problem("chat_died", {"how": how, "log": str(self.log)}))
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            found = Problem.from_dict(message["error"])
            raise RunError(replace(found, code="chat_oom") if found.code == "oom" else found)
        return message
