"""How a talk is led, kept and begun: settings, the file, first questions, what it takes; and the worker's words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.chat.client import ChatClient
from engine.chat.needs import LIBRARIES, needs
from engine.chat.options import OPTIONS, ChatOptions, change, shown
from engine.chat.questions import from_data
from engine.chat.source import ChatSource
from engine.chat.transcript import Exchange, save, transcript
from engine.errors import ConfigError, RunError
from engine.hardware import GIB, Gpu, Hardware, Host
from engine.text import Phrase
from tests.unit.merge_toys import save_base
from tests.unit.tiny_tokenizer import tiny_tokenizer

HOST = Host("A processor", 8, 32 * GIB, 30 * GIB)


def test_settings_are_read_as_they_are_typed() -> None:
    """A number that cannot be is refused and changes nothing."""
    options = ChatOptions.of({"temperature": 0.3, "top_p": 0.9})
    assert (options.temperature, options.longest) == (0.3, 512)
    options = change(change(options, "temperature", " 1 "), "longest", "64")
    assert options.sampling == {"temperature": 1.0, "max_new_tokens": 64}
    assert change(options, "system", "  Be kind. ").system == "Be kind."
    assert [str(shown(options, option.name)) for option in OPTIONS] == ["1", "64 tokens", "(none)"]
    for name, given in (("temperature", "6"), ("temperature", "nan"), ("longest", "0"), ("longest", "1.5"), ("x", "1")):
        with pytest.raises(ConfigError):
            change(options, name, given)


def test_a_talk_is_kept_whole_and_nothing_is_overwritten(tmp_path: Path) -> None:
    """Answers may hold anything; the file stays readable, and a second one in the same second has its own name."""
    talk = [Exchange("hi", {"tuned": "# no head\n\n```", "base": "\x1b[2J"}), Exchange("2", {"tuned": "x"})]
    text = transcript("a\nmodel", ChatOptions(system="Be kind."), talk)
    assert "> # no head\n>\n> ```" in text and "\x1b" not in text and "- system prompt: Be kind." in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## 1. Question", "## 2. Question"]
    first, second = (save(tmp_path, text, 1_769_851_800.0) for _ in range(2))
    assert (first.name, second.name) == ("chat-20260131T093000.md", "chat-20260131T093000-2.md")


def test_first_questions_come_from_the_data(tmp_path: Path) -> None:
    """Spread over its beginning, each once, none that fills the screen; without data there are none."""
    rows = [{"instruction": f"question {number % 40}", "output": "a"} for number in range(80)]
    (tmp_path / "rows.json").write_text(json.dumps([{"instruction": "x" * 999, "output": "a"}, *rows]))
    (tmp_path / "dataset_info.json").write_text(
        json.dumps({"mine": {"file_name": "rows.json"}, "hub": {"hf_hub_url": "a/b"}})
    )
    found = from_data(str(tmp_path), ["mine"], 3)
    assert len(set(found)) == 3 and all(text.startswith("question ") for text in found)
    assert from_data(str(tmp_path), ["gone"], 3) == from_data(str(tmp_path), ["hub"], 3) == from_data(None, [], 3) == []
    assert from_data(str(tmp_path / "gone"), ["mine"], 3) == []


def test_what_a_talk_takes(tmp_path: Path) -> None:
    """Weights on disk, on the device that will hold them."""
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1_000_000)
    (tmp_path / "model.bin").write_bytes(b"x" * 5_000_000)  # the same again in another form
    source = ChatSource(str(tmp_path), "m", dtype="float32")
    card = Hardware((Gpu(0, "G", "Card", 8 * GIB, 7 * GIB),))
    found = needs(source, card, HOST)
    assert (found.needed, found.free, found.device, found.fits) == (1_100_000, 7 * GIB, "Card", True)
    without = needs(ChatSource(str(tmp_path), "m", dtype="float32", use_cpu=True), card, HOST)
    assert (without.needed, without.free, without.device) == (1_100_000 + LIBRARIES, 30 * GIB, "")
    assert not needs(source, Hardware((), Phrase("")), Host("A", 1, 1, 1)).fits


def test_the_worker_tells_how_far_it_is_and_how_fast_it_speaks(tmp_path: Path) -> None:
    """Through the real process: loading in parts, questions of the data, tokens counted, and a word when it dies."""
    base = save_base(tmp_path / "base", vocab_size=512)
    tiny_tokenizer().save_pretrained(base)  # type: ignore[no-untyped-call]
    (tmp_path / "rows.json").write_text(json.dumps([{"instruction": "what is 3?", "output": "3"}]))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": "rows.json"}}))
    source = ChatSource(str(base), "m", template="qwen", use_cpu=True, dataset_dir=str(tmp_path), dataset=["mine"])
    heard: list[tuple[str, int, int]] = []
    with ChatClient(source, tmp_path / "log", max_new_tokens=5) as client:
        client.wait_ready(lambda what, done, total: heard.append((what, done, total)))
        assert client.questions == ["what is 3?"]
        assert [what for what in dict.fromkeys(what for what, _, _ in heard)] == ["libraries", "weights"]
        assert any(total for _, _, total in heard)
        list(client.ask([{"role": "user", "content": "hi"}], "model"))
        assert client.tokens == 5 and client.seconds > 0
        client.kill()
        with pytest.raises(RunError) as error:
            list(client.ask([{"role": "user", "content": "hi"}], "model"))
        assert error.value.problems[0].code == "chat_died"
