"""The talk: both voices, stopping, what goes wrong, and leaving; against a model that says what it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.chat.source import ChatSource
from engine.config.reading import dump
from engine.errors import Problem, RunError
from tests.pilot.fakes import app_of, resized, screen_text, until
from tests.pilot.runs import FakeRun
from tui.app import WizardApp
from tui.screens.chatting import ChatScreen
from tui.widgets.asking import Offers, QuestionLine

HOSTILE = "[/x] [b \x1b]52;c;aGk=\x07 \x1b[31m\u202e"


@dataclass
class FakeClient:
    """Answers each voice's pieces in order. gate: waited for before every piece. loading: before the model is there."""

    pieces: dict[str, list[str]] = field(default_factory=lambda: {"tuned": ["Ahoy", "!"], "base": ["Hello", "."]})
    gate: threading.Event | None = None
    loading: threading.Event | None = None
    refuses: Problem | None = None
    questions: list[str] = field(default_factory=list)
    asked: list[tuple[str, list[dict[str, str]]]] = field(default_factory=list)
    drawn: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    cancelled: int = 0
    killed: threading.Event = field(default_factory=threading.Event)
    source: ChatSource | None = None
    opened: int = 0
    tokens: int = 0
    speed: float = 0.0

    def __call__(self, source: ChatSource) -> FakeClient:
        self.source = source
        return self

    def __enter__(self) -> FakeClient:
        self.opened += 1
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait_ready(self, loading: Callable[[str, int, int], object]) -> None:
        loading("weights", 120, 272)
        if self.loading:
            self.loading.wait(20)
        if self.refuses:
            raise RunError(self.refuses)

    def ask(self, messages: list[dict[str, str]], voice: str) -> Iterator[str]:
        self.asked.append((voice, messages))
        self.drawn.append(dict(self.options))
        self.tokens = 0
        for piece in self.pieces[voice]:
            if self.gate:
                self.gate.wait(20)
            if self.killed.is_set():
                raise RunError(Problem("chat_died", {"how": "SIGKILL", "log": "/l"}))
            self.tokens += 1
            self.speed = 10.0 if self.tokens > 1 else 0.0
            yield piece

    def cancel(self) -> None:
        self.cancelled += 1

    def kill(self) -> None:
        self.killed.set()
        for gate in (self.gate, self.loading):
            if gate:
                gate.set()


def configured(run: FakeRun) -> None:
    """Its config.yaml says what there is to talk to."""
    config = run.folder.config()
    source = ChatSource("/models/base", "base", "/home/ada/my_project/saves/adapter")
    config["answers"] = {"questions": [], "source": source.as_dict()}
    run.folder.config_file.write_text(dump(config))


def trained(tmp_path: Path) -> FakeRun:
    """A finished run with an adapter and two answers of before and after."""
    run = FakeRun(tmp_path / "run")
    configured(run)
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
        await until(pilot, lambda: "type a question" in screen_text(app))


async def ask(pilot: Any, text: str) -> None:
    await pilot.press(*text.replace(" ", "_"), "enter")


async def quiet(pilot: Any) -> None:
    """Until nobody answers."""
    await until(pilot, lambda: not pilot.app.screen.busy and pilot.app.screen.talker.said)


async def test_both_voices_answer_and_are_told_apart(cwd: Path, tmp_path: Path) -> None:
    """Seeing what training changed is the point of the step; words say which weights speak, and how fast."""
    client = FakeClient()
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot)
        assert client.source is not None and client.source.adapter == "/home/ada/my_project/saves/adapter"
        await ask(pilot, "hi")
        await until(pilot, lambda: "Tuned (2 tokens, 10.0 tok/s): Ahoy!" in screen_text(app))
        await until(pilot, lambda: "Base (2 tokens, 10.0 tok/s): Hello." in screen_text(app))
        await quiet(pilot)
        await ask(pilot, "and")
        await until(pilot, lambda: len(client.asked) == 4)
        voice, messages = client.asked[2]
        assert voice == "tuned" and [message["content"] for message in messages] == ["hi", "Ahoy!", "and"]
        assert [message["content"] for message in client.asked[3][1]] == ["hi", "Hello.", "and"]


@pytest.mark.parametrize(("columns", "beside"), [(80, False), (100, True), (120, True)])
async def test_answers_stand_side_by_side_where_there_is_room(
    cwd: Path, tmp_path: Path, columns: int, beside: bool
) -> None:
    """Two columns are read together, and need a hundred of the screen."""
    app = app_of(cwd, run=trained(tmp_path).folder, chat=FakeClient())
    async with app.run_test(size=(columns, 40)) as pilot:
        await talk(pilot)
        await ask(pilot, "hi")
        await quiet(pilot)
        await until(pilot, lambda: "Ahoy!" in screen_text(app) and "Hello." in screen_text(app))
        assert any("Ahoy!" in line and "Hello." in line for line in screen_text(app).splitlines()) is beside
        await resized(pilot, 180 - columns, 30)
        await until(
            pilot,
            lambda: (
                any("Ahoy!" in line and "Hello." in line for line in screen_text(app).splitlines()) is not beside
                or columns == 120
            ),
        )


async def test_enter_alone_asks_what_is_offered_and_goes_on(cwd: Path, tmp_path: Path) -> None:
    """Nobody has to think of a question: those of the run, those of the data, then the way on."""
    client = FakeClient(questions=["From the data?"])
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot)
        for count in (2, 4, 6):
            await pilot.press("enter")
            await until(pilot, lambda count=count: len(client.asked) == count and not app.screen.busy)  # type: ignore[attr-defined]
        asked = [messages[-1]["content"] for _voice, messages in client.asked[::2]]
        assert asked[0] == "Who are you?" and asked[2] == "From the data?"
        await pilot.press("enter")
        await until(pilot, lambda: app.at == "finish")


async def test_a_question_may_be_asked_before_the_model_is_there(cwd: Path, tmp_path: Path) -> None:
    """Loading is told in parts, with what it takes; what was asked meanwhile is answered first."""
    client = FakeClient(loading=threading.Event())
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot, ready=False)
        await until(pilot, lambda: "Reading the weights 120 of 272" in screen_text(app))
        assert "GB are free" in screen_text(app)
        await ask(pilot, "hi")
        await until(pilot, lambda: "Asked as soon as it is loaded: hi" in screen_text(app))
        assert client.loading is not None
        client.loading.set()
        await until(pilot, lambda: "Ahoy!" in screen_text(app))


async def test_the_way_on_is_open_while_the_model_loads(cwd: Path, tmp_path: Path) -> None:
    """The end needs no talk, and leaving ends the worker whatever it is doing."""
    client = FakeClient(loading=threading.Event())
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot, ready=False)
        await pilot.press("end", "enter")
        await until(pilot, lambda: app.at == "finish")
        await until(pilot, lambda: client.killed.is_set() or not client.opened)


async def test_keys_between_the_rows_and_the_line(cwd: Path, tmp_path: Path) -> None:
    """Typing needs no key before it, letters that are keys elsewhere are letters, ↑ brings back what was asked."""
    client = FakeClient()
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot)
        await pilot.press("l", "question_mark", "1")
        line = app.screen.query_one(QuestionLine)
        assert line.has_focus and line.value == "l?1"
        await pilot.press("enter")
        await quiet(pilot)
        await ask(pilot, "two")
        await quiet(pilot)
        await pilot.press("up", "up")
        assert line.value == "l?1"
        await pilot.press("down")
        assert line.value == "two"
        await pilot.press("down")
        assert line.value == ""
        await pilot.press("down")
        assert app.screen.query_one(Offers).has_focus
        await pilot.press("tab", "x", "escape")
        assert line.has_focus and line.value == ""
        await pilot.press("enter")  # an empty line asks nothing
        assert app.screen.query_one(Offers).has_focus and len(client.asked) == 4


async def test_help_tells_the_keys_of_the_talk(cwd: Path, tmp_path: Path) -> None:
    """The footer has no room for all of them."""
    app = app_of(cwd, run=trained(tmp_path).folder, chat=FakeClient())
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot)
        await pilot.press("f1")
        await until(pilot, lambda: "Ctrl+L" in screen_text(app) and "system prompt" in screen_text(app))
        await pilot.press("escape")
        assert isinstance(app.screen, ChatScreen)


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
        await until(pilot, lambda: "(ended by you)" in screen_text(app) and "(no answer)" in screen_text(app))
        assert client.cancelled == 1 and len(client.asked) == 1


async def test_the_talk_is_led_as_a_person_sets_it(cwd: Path, tmp_path: Path) -> None:
    """Temperature, length, system prompt, one voice: from the next question on; what cannot be is refused in place."""
    client = FakeClient()
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "How the talk is led" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "tuned only" in screen_text(app))
        await pilot.press("down", "enter", "backspace", "9", "enter")
        await until(pilot, lambda: "a number from 0 to 5" in screen_text(app))
        await pilot.press("backspace", *"0.7", "enter", "down", "enter", *["backspace"] * 3, *"64", "enter")
        await pilot.press("down", "enter", *"Be", "enter", "escape")
        await until(pilot, lambda: isinstance(app.screen, ChatScreen))
        await ask(pilot, "hi")
        await quiet(pilot)
        assert client.asked == [
            ("tuned", [{"role": "system", "content": "Be"}, {"role": "user", "content": "hi"}]),
        ]
        assert client.drawn == [{"temperature": 0.7, "max_new_tokens": 64}]


async def test_what_was_said_can_be_forgotten_and_kept(cwd: Path, tmp_path: Path) -> None:
    """Ctrl+S writes it beside the run and says where; after Ctrl+L the next question is the first."""
    client = FakeClient({"tuned": [HOSTILE + "\n# head"], "base": ["Hello"]})
    run = trained(tmp_path).folder
    app = app_of(cwd, run=run, chat=client, clock=lambda: 1_769_851_800.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot)
        await ask(pilot, "hi")
        await quiet(pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Written:" in screen_text(app))
        kept = (run.path / "chat-20260131T093000.md").read_text()
        assert "> hi" in kept and "> # head" in kept and "> Hello" in kept and "\x1b" not in kept
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "You: hi" not in screen_text(app) and "Forgotten" in screen_text(app))
        await ask(pilot, "new")
        await until(pilot, lambda: len(client.asked) == 4)
        assert [message["content"] for message in client.asked[2][1]] == ["new"]


async def test_a_model_that_cannot_be_loaded_says_why_and_can_be_tried_again(cwd: Path, tmp_path: Path) -> None:
    """Out of memory beside another program: said in place with what to do; the way on stays open."""
    client = FakeClient(refuses=Problem("chat_oom", {"reason": "2 GB wanted"}))
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24)) as pilot:
        await talk(pilot, ready=False)
        await until(pilot, lambda: "Out of memory" in screen_text(app) and "nvidia-smi" in screen_text(app))
        client.refuses = None
        await ask(pilot, "hi")
        await until(pilot, lambda: client.opened == 2 and "Ahoy!" in screen_text(app))
        await quiet(pilot)
        client.killed.set()
        await ask(pilot, "dead")
        await until(pilot, lambda: "is gone (SIGKILL)" in screen_text(app))
        client.killed.clear()
        await ask(pilot, "again")
        await until(pilot, lambda: len(client.asked) >= 5 and not app.screen.busy)  # type: ignore[attr-defined]
        said = [message["content"] for message in client.asked[3][1]]
        assert said == ["hi", "Ahoy!", "again"]  # what was said before survives; what was not answered does not
        await pilot.press("tab", "end", "enter")
        await until(pilot, lambda: app.at == "finish")


async def test_what_the_model_says_does_nothing_to_the_terminal(cwd: Path, tmp_path: Path) -> None:
    """Escape sequences, markup and reversed writing are shown as text; an endless line costs no time."""
    client = FakeClient({"tuned": [HOSTILE, "x" * 100_000], "base": [HOSTILE]}, questions=[HOSTILE])
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await talk(pilot)
        await pilot.press(*["pageup"] * 5)
        await ask(pilot, "[/b]")
        await until(pilot, lambda: "Base (1" in screen_text(app) or "Base: [/x]" in screen_text(app))
        for _page in range(3):
            assert "\x1b" not in screen_text(app) and "\u202e" not in screen_text(app)
            app.screen.action_scroll_body(-1)  # type: ignore[attr-defined]
            await pilot.pause()


async def test_a_person_may_read_back_while_it_answers(cwd: Path, tmp_path: Path) -> None:
    """The end follows the answer until somebody scrolls up."""
    client = FakeClient({"tuned": ["line\n"] * 60, "base": ["end"]})
    app = app_of(cwd, run=trained(tmp_path).folder, chat=client)
    async with app.run_test(size=(60, 20)) as pilot:
        await talk(pilot)
        await ask(pilot, "hi")
        await quiet(pilot)
        await until(pilot, lambda: "Base: end" in screen_text(app))
        app.screen.action_scroll_body(-1)  # type: ignore[attr-defined]
        await until(pilot, lambda: "Base: end" not in screen_text(app))
        await ask(pilot, "2")
        await until(pilot, lambda: len(client.asked) == 4 and not app.screen.busy)  # type: ignore[attr-defined]
