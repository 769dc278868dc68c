"""The talk: both voices, stopping, what goes wrong, and leaving; against a model that says what it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.chat.source import ChatSource
from engine.config.reading import dump
from engine.errors import Problem, RunError
from tests.pilot.fakes import app_of, screen_text, until
from tests.pilot.runs import FakeRun
from tui.app import WizardApp
from tui.screens.chatting import ChatScreen

HOSTILE = "[/x] [b \x1b]52;c;aGk=\x07 \x1b[31m\u202e"


@dataclass
class FakeClient:
    """Answers each voice's pieces in order. gate: waited for before every piece. loading: before the model is there."""

    pieces: dict[str, list[str]] = field(default_factory=lambda: {"tuned": ["Ahoy", "!"], "base": ["Hello", "."]})
    gate: threading.Event | None = None
    loading: threading.Event | None = None
    refuses: Problem | None = None
    asked: list[tuple[str, list[dict[str, str]]]] = field(default_factory=list)
    cancelled: int = 0
    killed: threading.Event = field(default_factory=threading.Event)
    source: ChatSource | None = None
    opened: int = 0

    def __call__(self, source: ChatSource) -> FakeClient:
        self.source = source
        return self

    def __enter__(self) -> FakeClient:
        self.opened += 1
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait_ready(self) -> None:
        if self.loading:
            self.loading.wait(20)
        if self.refuses:
            raise RunError(self.refuses)

    def ask(self, messages: list[dict[str, str]], voice: str) -> Iterator[str]:
        self.asked.append((voice, messages))
        for piece in self.pieces[voice]:
            if self.gate:
                self.gate.wait(20)
            if self.killed.is_set():
                raise RunError(Problem("crashed", {"how": "SIGKILL", "log": "/l"}))
            yield piece

    def cancel(self) -> None:
        self.cancelled += 1

    def kill(self) -> None:
        self.killed.set()
        for gate in (self.gate, self.loading):
            if gate:
                gate.set()


def trained(tmp_path: Path) -> FakeRun:
    """A finished run with an adapter and two answers of before and after."""
    run = FakeRun(tmp_path / "run")
    config = run.folder.config()
    source = ChatSource("/models/base", "base", "/home/ada/my_project/saves/adapter")
    config["answers"] = {"questions": [], "source": source.as_dict()}
    run.folder.config_file.write_text(dump(config))
    run.train(5, 5)
    run.events.write("sample", question="Who are you?", base="I am an AI.", tuned="I am Lumi, at your service.")
    run.events.write("sample", question=HOSTILE, base=HOSTILE, tuned=HOSTILE + "x" * 3000)
    run.finish(adapter="/home/ada/my_project/saves/adapter")
    return run


async def talk(pilot: Any, *, ready: bool = True) -> None:
    """Wait for the chat's screen, and for its model."""
    app: WizardApp = pilot.app
    await until(pilot, lambda: app.snapshot is not None and app.snapshot.outcome)
    app.go("chat")
    await until(pilot, lambda: isinstance(app.screen, ChatScreen) and app.focused is not None)
    if ready:
        await until(pilot, lambda: "Type a question" in screen_text(app))


async def ask(pilot: Any, text: str) -> None:
    await pilot.press(*text.replace(" ", "_"), "enter")


async def test_both_voices_answer_and_are_told_apart(cwd: Path, tmp_path: Path) -> None:
    """Seeing what training changed is the point of the step; words say which weights speak."""
    client = FakeClient()
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot)
        assert client.source is not None and client.source.adapter == "/home/ada/my_project/saves/adapter"
        await ask(pilot, "hi")
        await until(pilot, lambda: "Tuned: Ahoy!" in screen_text(app) and "Base: Hello." in screen_text(app))
        await until(pilot, lambda: "Type a question" in screen_text(app))
        await ask(pilot, "and")
        await until(pilot, lambda: len(client.asked) == 4)
        voice, messages = client.asked[2]
        assert voice == "tuned" and [message["content"] for message in messages] == ["hi", "Ahoy!", "and"]
        assert [message["content"] for message in client.asked[3][1]] == ["hi", "Hello.", "and"]


async def test_one_voice_when_asked_for(cwd: Path, tmp_path: Path) -> None:
    """Tab spares the time of the base's answer."""
    client = FakeClient()
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot)
        await pilot.press("tab")
        await ask(pilot, "hi")
        await until(pilot, lambda: "Tuned: Ahoy!" in screen_text(app))
        await until(pilot, lambda: not app.screen.busy)  # type: ignore[attr-defined]
        assert [voice for voice, _ in client.asked] == ["tuned"]


async def test_esc_ends_the_answer(cwd: Path, tmp_path: Path) -> None:
    """A model that rambles must not be waited for; the voice that has not begun stays silent."""
    gate = threading.Event()
    client = FakeClient({"tuned": ["one ", "two ", "three"], "base": ["never"]}, gate=gate)
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot)
        await ask(pilot, "hi")
        await until(pilot, lambda: client.asked)
        assert "Esc end the answer" in screen_text(app)
        await pilot.press("x", "enter")  # meanwhile the next question can be typed, not asked
        await pilot.press("escape")
        gate.set()
        await until(pilot, lambda: "(ended)" in screen_text(app) and "(not asked)" in screen_text(app))
        assert client.cancelled == 1 and len(client.asked) == 1


async def test_enter_alone_goes_on_while_the_model_loads(cwd: Path, tmp_path: Path) -> None:
    """The way to the end needs no talk, and leaving ends the worker whatever it is doing."""
    client = FakeClient(loading=threading.Event())
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot, ready=False)
        await until(pilot, lambda: "Loading the model" in screen_text(app))
        await pilot.press("h", "i", "enter")
        assert app.at == "chat"
        await pilot.press("backspace", "backspace", "enter")
        await until(pilot, lambda: app.at == "finish")
        assert client.killed.is_set()


async def test_a_model_that_cannot_be_loaded_says_why_and_can_be_tried_again(cwd: Path, tmp_path: Path) -> None:
    """Out of memory beside another program: said in place; Enter still goes on."""
    client = FakeClient(refuses=Problem("oom", {"reason": "2 GB wanted"}))
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot, ready=False)
        await until(pilot, lambda: "Out of memory" in screen_text(app))
        client.refuses = None
        await ask(pilot, "hi")
        await until(pilot, lambda: client.opened == 2 and "Type a question" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Tuned: Ahoy!" in screen_text(app))
        client.killed.set()
        await ask(pilot, "hi")
        await until(pilot, lambda: "ended without a word" in screen_text(app))
        await pilot.press(*["backspace"] * 9, "enter")
        await until(pilot, lambda: app.at == "finish")


async def test_what_the_model_says_does_nothing_to_the_terminal(cwd: Path, tmp_path: Path) -> None:
    """Escape sequences, markup and reversed writing are shown as text."""
    client = FakeClient({"tuned": [HOSTILE, HOSTILE * 50], "base": [HOSTILE]})
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await talk(pilot)
        assert r"Before: [/x] [b \x1b]52;c;aGk=\x07" in screen_text(app)
        await ask(pilot, "[/b]")
        await until(pilot, lambda: "Base: [/x]" in screen_text(app))
        assert "\x1b" not in screen_text(app) and "\u202e" not in screen_text(app)
