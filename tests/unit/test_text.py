"""The gate for foreign text: what a dataset, a model or a log says cannot move a cursor, hide or reverse text."""

from __future__ import annotations

import unicodedata

import pytest

from engine.text import Phrase, clean, one_line, verbatim


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),  # the same in one character
        ("a\rb", "a\\x0db"),
        ("a\x08b\x7f", "a\\x08b\\x7f"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("a\u2028b", "a\\u2028b"),
        ("a\tb\nc\r\nd", "a\tb\nc\nd"),
        ("你好 naïve \U0001f680", "你好 naïve \U0001f680"),
    ],
)
def test_what_could_steer_a_terminal_becomes_visible(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_no_control_or_format_character_of_unicode_passes() -> None:
    """But for tab and newline, and the few format characters that scripts need and that hide nothing."""
    passed = {
        chr(point)
        for point in range(0x110000)
        if unicodedata.category(chr(point)) in ("Cc", "Cs", "Zl", "Zp") and clean(chr(point)) == chr(point)
    }
    assert passed == {"\t", "\n"}
    bidi = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert not [p for p in range(0x110000) if unicodedata.bidirectional(chr(p)) in bidi and clean(chr(p)) == chr(p)]


def test_lengths() -> None:
    assert clean("x" * 10, 5) == "xxxx…"
    assert clean("x" * 5, 5) == "xxxxx"
    assert len(clean("\x00" * 100, 10)) == 10
    assert clean(None) == "None"


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n\tb\r\n c \x1b") == "a b c \\x1b"
    assert one_line("a\u2028b") == "a b"
    assert one_line("a b c d", 4) == "a b…"


def test_a_phrase_is_translated_before_it_is_filled() -> None:
    """A model called {x} or a path with an escape sequence must neither break a sentence nor reach a terminal."""
    inner = Phrase("{count} rows", {"count": 3})
    phrase = Phrase("{name}: {rows}", {"name": "a{b}\x1b[31m", "rows": inner})
    assert phrase.say() == "a{b}\\x1b[31m: 3 rows"
    german = {"{count} rows": "{count} Zeilen", "{name}: {rows}": "{rows} in {name}"}
    assert phrase.say(lambda text: german[text]) == "3 Zeilen in a{b}\\x1b[31m"
    assert verbatim("[/b]").say(lambda text: text) == "[/b]"
