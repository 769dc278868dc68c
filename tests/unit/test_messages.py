"""Every problem has words: nobody is ever shown a bare code, or a sentence with a hole in it."""

from __future__ import annotations

import ast
import json
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import ConfigError, Problem
from engine.messages import Message, catalogue, fill, render
from engine.text import Phrase

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "engine").rglob("*.py"), *(ROOT / "tui").rglob("*.py")])
WORDS = [file for file in SOURCES if file.name.endswith("messages.py")]
# Functions of the engine whose arguments hold a code that they make a Problem of.
CALLS = {"Problem", "say", "note", "problem", "BrokenJSONError"}


def texts(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def raised() -> dict[str, str]:
    """{code: file} of every literal first argument of Problem(…)."""
    found = {}
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0] if node.args else None
            if name in (CALLS if "engine" in file.parts else {"Problem"}) and isinstance(
                first, ast.Constant | ast.IfExp
            ):
                # Of `"a" if x == "y" else "b"`, the condition is no code.
                parts = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                found.update({code: file.name for part in parts for code in texts(part)})
    return found


def test_the_walk_finds_what_there_is() -> None:
    """Else the test below would hold of nothing."""
    found = raised()
    assert {"duplicate_key", "unknown_key_far", "oom", "in_use", "model_missing", "gpu_required"} <= found.keys()
    assert len(found) > 100


@pytest.mark.parametrize("code", sorted(raised()))
def test_every_code_has_words(code: str) -> None:
    assert code in catalogue(), raised()[code]


def test_no_words_without_a_code() -> None:
    used = {text for file in SOURCES if file not in WORDS for text in texts(ast.parse(file.read_text()))}
    patterns = {code.removesuffix("_near") for code in used}
    # dataset_<part>_unknown, of columns and tags, and column_of_<target> are put together where it is raised.
    built = {"dataset_column_unknown", "dataset_tag_unknown", "column_of_prompt", "column_of_response"}
    assert {code for code in catalogue() if code.removesuffix("_near") not in patterns} - built == set()


def test_no_code_stands_in_two_rooms() -> None:
    """The later room's words would show for the other's problem."""
    codes: list[str] = []
    for file in WORDS:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                codes += [
                    str(key.value)
                    for key, value in pairs
                    if isinstance(key, ast.Constant) and isinstance(value, ast.Call)
                ]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("code", sorted(catalogue()))
def test_every_template_renders(code: str) -> None:
    message = catalogue()[code]
    names = {
        name
        for text in (message.text, message.hint)
        for _, name, _, _ in string.Formatter().parse(text)
        if name is not None
    }
    assert all(name.isidentifier() for name in names)
    shown = render(Problem(code, dict.fromkeys(names, "VALUE"), "KEY", "FILE", 3))
    assert shown.startswith("FILE:3: ")
    assert not re.search(r"\{\w+\}", shown)
    assert message.text.strip() == message.text and message.hint.strip() == message.hint


def test_a_parameter_that_is_missing_shows_its_name_and_nothing_breaks() -> None:
    assert fill("{a} and {b}", Problem("x", {"a": 1})) == "1 and {b}"


def test_lists_are_read_out() -> None:
    assert fill("{near}", Problem("x", {"near": ["a", "b"]})) == "a, b"


def test_words_of_an_unknown_code_are_the_code() -> None:
    """A run of a newer version can still be looked at."""
    assert render(Problem("from_the_future", {"a": 1})) == "from_the_future {'a': 1}"


def test_foreign_text_is_cleaned_everywhere() -> None:
    problem = Problem("value_wrong", {"expected": "x", "found": "\x1b[2J"}, key="\x1b]k", file="\x1bf\u202e", line=1)
    assert not {"\x1b", "\u202e"} & set(render(problem))
    assert "\x1b" not in str(ConfigError(problem))


def test_a_place_is_told_as_far_as_known() -> None:
    assert Problem("x", file="f", line=2, column=3).place == "f:2:3"
    assert Problem("x", file="f").place == "f"
    assert Problem("x").place == ""


def test_a_problem_survives_events_and_state() -> None:
    problem = Problem("x", {"a": [1]}, "k", "f", 1, 2, "warning")
    assert Problem.from_dict(problem.as_dict() | {"later": 1}) == problem
    assert Problem.from_dict(Problem("x").as_dict()) == Problem("x")


def test_words_in_a_problem_are_translated_wherever_it_went() -> None:
    """An event written by a run last week is read in the language of today."""
    kinds = [Phrase("a number"), Phrase("{kind} above {low}", {"kind": Phrase("a list"), "low": "{x}"})]
    problem = Problem("value_wrong", {"expected": kinds[1], "found": kinds}, "k")
    again = Problem.from_dict(json.loads(json.dumps(problem.as_dict())))
    assert again == problem
    german = {"a number": "eine Zahl", "a list": "eine Liste", "{kind} above {low}": "{kind} über {low}"}
    text = render(again, lambda text: german.get(text, text))
    assert text == "k takes eine Liste über {x}, not eine Zahl, eine Liste über {x}."


@pytest.mark.parametrize("text", ["cut {wor", "{missing}", "{0}", "{a.b}", "{a:999999999999}", "{a!x}"])
def test_words_that_were_cut_in_an_event_break_nothing(text: str) -> None:
    raw = {"code": "value_wrong", "params": {"expected": {"phrase": text, "values": {"a": 1}}, "found": {"phrase": 1}}}
    assert text in render(Problem.from_dict(raw))


def test_messages_are_values() -> None:
    assert Message("a") == Message("a", "")
