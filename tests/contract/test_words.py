"""The catalogues: every sentence that reaches a person is there, in every language, and none can break a screen."""

from __future__ import annotations

import ast
import io
import string
import unicodedata
from collections.abc import Iterator
from gettext import GNUTranslations

import pytest
from rich.cells import cell_len

from engine.wizard.steps import STEPS
from tui.locale.update import (
    ROOT,
    TEMPLATE,
    called,
    calls,
    collect,
    compiled,
    literal,
    merged,
    po_file,
    sources,
    translations,
    written,
)
from tui.words import LANGUAGES, SOURCE, say, set_language

CODES = sorted(set(LANGUAGES) - {SOURCE})
FOUND = collect()
# A state of a planned file, and Python to copy.
NO_SENTENCES = {"in the way", 'from transformers import pipeline\npipeline("text-generation", '}


def fields(text: str) -> list[tuple[str | None, ...]]:
    """The placeholders of a template with their formats."""
    return sorted(part[1:] for part in string.Formatter().parse(text) if part[1] is not None)


def put_together(node: ast.AST) -> bool:
    """Whether an expression makes a new text, and does not just look one up."""
    return any(
        isinstance(part, ast.JoinedStr | ast.BinOp)
        or (isinstance(part, ast.Call) and called(part) in ("format", "join"))
        for part in ast.walk(node)
    )


def outside(tree: ast.AST) -> Iterator[ast.Constant]:
    """Texts that are neither docstrings nor sentences in a call that takes them."""
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inside |= {id(part.value) for part in node.body if isinstance(part, ast.Expr)}
    inside |= {id(part) for call in calls(tree) for part in ast.walk(call.args[0])}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node


def test_the_walk_finds_what_there_is() -> None:
    """Else the tests below would hold of nothing."""
    assert {
        "Tokenising",  # noop
        "Stopping: the current step is finished and saved first.",  # _
        "What this machine has to train on.",  # Phrase
        "{key} stands twice; the first is on line {first}.",  # a problem
        "Keep one of them.",  # its hint
        "Size of the adapter: higher learns more and takes more memory.",  # a key
        "twice the rank",  # its usual value
        "the trainer knows which column holds the labels",  # keys.yaml
        "OFT turns the weights instead of adding to them, and is not among this version's methods",
        "40 and 48 GB",  # a preset
        "A new identity: Lumi of the Northlight team",  # a sample
    } <= FOUND.keys()
    assert not {"4–64", "{hint}", ""} & FOUND.keys()


def test_the_template_is_up_to_date() -> None:
    """A sentence that is not in it stays English on every screen: run `make words`."""
    assert set(translations(TEMPLATE, all_of_them=True)) == FOUND.keys()


def test_what_is_written_does_not_churn() -> None:
    """Two people who run `make words` get the same files, and no merge conflicts of dates."""
    assert written(merged(FOUND)) == written(merged(collect()))
    assert b"Date" not in written(merged(FOUND))


@pytest.mark.parametrize("code", CODES)
def test_every_sentence_is_translated(code: str) -> None:
    """Else a screen mixes two languages."""
    said = translations(po_file(code))
    assert [text for text in FOUND if text not in said] == []
    assert [text for text in said if text not in FOUND] == []


@pytest.mark.parametrize("code", CODES)
def test_a_translation_fills_the_same_gaps(code: str) -> None:
    """A missing one hides a number; one too many is an error while a run is watched."""
    assert [text for text, other in translations(po_file(code)).items() if fields(text) != fields(other)] == []


@pytest.mark.parametrize("code", CODES)
def test_a_translation_is_plain_text(code: str) -> None:
    """No control characters, no Textual markup beyond what the English has, no stray white space."""
    for text, other in translations(po_file(code)).items():
        assert not [char for char in other if unicodedata.category(char)[0] == "C"], text
        assert ("[/" in other) <= ("[/" in text), text
        assert other.strip() == other or text.strip() != text, text


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_titles_of_steps_fit_the_rail(code: str) -> None:
    """At 80 columns a longer one would push the others out."""
    set_language(code)
    assert [say(step.title) for step in STEPS if cell_len(say(step.title)) > 12] == []


@pytest.mark.parametrize("code", CODES)
def test_the_compiled_catalogue_is_the_written_one(code: str) -> None:
    """The .mo is what is read at run time."""
    file = po_file(code)
    said = translations(file)
    assert file.read_bytes() == written(merged(FOUND, code, said))
    assert file.with_suffix(".mo").read_bytes() == compiled(merged(FOUND, code, said))
    read = GNUTranslations(io.BytesIO(file.with_suffix(".mo").read_bytes()))
    assert {text: read.gettext(text) for text in said} == said


def test_only_literals_are_translated() -> None:
    """A sentence put together at run time is in no catalogue. What stands in a table goes through `translate`."""
    wrong = []
    for file in sources():
        for call in calls(ast.parse(file.read_text(encoding="utf-8"))):
            if literal(call) is None and (called(call) != "Phrase" or put_together(call.args[0])):
                wrong.append(f"{file.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)[:80]}")
    assert wrong == []


@pytest.mark.parametrize(
    "text", ['_(f"{x}")', '_("a" + x)', '_("{a}".format(a=1))', 'Phrase(f"{x}")', 'Phrase("a" + x)']
)
def test_the_walk_sees_a_sentence_that_is_put_together(text: str) -> None:
    (call,) = calls(ast.parse(text))
    assert literal(call) is None and put_together(call.args[0])
