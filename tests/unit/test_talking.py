"""The talk at a prompt: the same settings as on the full screen, who answers, what is remembered and kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.chat.options import ChatOptions
from engine.chat.source import ChatSource
from tui.talking import Conversation, commands


class FakeClient:
    """Answers with its voice and how many messages it was given."""

    def __init__(self) -> None:
        self.source = ChatSource("/base", "a model", "/adapter")
        self.options: dict[str, Any] = {}
        self.asked: list[tuple[str, list[dict[str, str]], dict[str, Any]]] = []
        self.tokens, self.speed = 3, 12.5
        self.interrupts = self.cancelled = 0

    def ask(self, messages: list[dict[str, str]], voice: str) -> Iterator[str]:
        self.asked.append((voice, list(messages), dict(self.options)))
        yield f"{voice} "
        if self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        yield "says\x1b[2J"

    def cancel(self) -> None:
        self.cancelled += 1


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def talk(client: FakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Conversation:
    monkeypatch.chdir(tmp_path)
    return Conversation(client, "tuned", ChatOptions())  # type: ignore[arg-type]


def test_both_answer_and_each_goes_on_from_its_own(
    talk: Conversation, client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers on stdout, voices and speed on stderr; who was silent before takes what the other said."""
    talk.say("one")
    talk.command("/both")
    talk.say("two", told=True)
    said = capsys.readouterr()
    assert said.out == "tuned says\\x1b[2J\n" * 2 + "base says\\x1b[2J\n"
    assert "[tuned]" in said.err and "(3 tokens, 12.5 tok/s)" in said.err
    talk.say("three")
    contents = [[message["content"] for message in messages] for _voice, messages, _options in client.asked]
    assert contents[2] == ["one", "tuned says\x1b[2J", "two"]  # base had not answered the first
    assert contents[4][3] == "base says\x1b[2J"
    talk.command("/clear")
    talk.command("/base")
    talk.say("new")
    assert client.asked[-1][:2] == ("base", [{"role": "user", "content": "new"}])


def test_settings_are_those_of_the_full_screen(
    talk: Conversation, client: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Set, shown, refused in words, and taken back."""
    for line in ("/temperature 0.7", "/longest 64", "/system Be kind.", "/temperature hot", "/longest"):
        talk.command(line)
    shown = capsys.readouterr().err
    assert "a number from 0 to 5" in shown and shown.count("temperature: 0.7") == 2 and "longest: 64 tokens" in shown
    talk.say("hi")
    assert client.asked[-1][1][0] == {"role": "system", "content": "Be kind."}
    assert client.asked[-1][2] == {"temperature": 0.7, "max_new_tokens": 64}
    talk.command("/system -")
    talk.say("hi")
    assert client.asked[-1][1][0]["role"] == "user"
    talk.command("/what")
    assert commands(("tuned", "base")) in capsys.readouterr().err and "/both" not in commands(("model",))


def test_a_talk_is_saved_and_nothing_is_overwritten(
    talk: Conversation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a name that was given, or by one of its own; the path is told."""
    talk.say("hi")
    talk.command("/save mine.md")
    assert "> hi" in (tmp_path / "mine.md").read_text()
    talk.command("/save mine.md")
    talk.command("/save")
    shown = capsys.readouterr().err
    assert f"Written: {tmp_path / 'mine.md'}" in shown and "Not written: File exists" in shown
    assert len(list(tmp_path.glob("chat-*.md"))) == 1


def test_ctrl_c_ends_the_answer_and_those_after_it(talk: Conversation, client: FakeClient) -> None:
    """Whoever interrupts one voice does not want to wait for the other."""
    talk.command("/both")
    client.interrupts = 1
    talk.say("hi")
    assert client.cancelled == 1 and [voice for voice, _, _ in client.asked] == ["tuned"]
    talk.say("more")
    assert client.asked[1][1][1] == {"role": "assistant", "content": "tuned "}
