"""docs/failures has a page for every failure that the wizard knows ways on from, and each says what the tool says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.failures import Page, page_named, page_of, pages
from engine.messages import catalogue
from engine.runs.causes import _BY_CODE
from tui.failurepage import failure_text
from tui.words import set_language

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path for path in (DOCS / "failures").glob("*.md") if path.name != "README.md")
PARTS = ["What you see", "Why", "What the wizard offers", "By hand", "So that it does not happen again"]
# Codes with ways on that have a page of their own elsewhere, or are mistakes of a file that the message explains whole.
ELSEWHERE = {
    *("model_is_adapter", "weights_damaged", "weights_pointer"),
    *("checkpoint_unusable", "nothing_to_resume", "gpu_not_there"),
}


def codes(page: Path) -> list[str]:
    """Those in its line `Codes: …`."""
    line = page.read_text(encoding="utf-8").partition("Codes:")[2].partition("\n## ")[0]
    return [code for code in re.findall(r"`([a-z_]+)`", line) if not code.endswith("_")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_problems_that_there_are(page: Path) -> None:
    """And has the same parts as the others, and quotes at least one message as it is."""
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS
    known = catalogue()
    assert codes(page) and set(codes(page)) <= set(known)
    heads = [known[code].text.partition("{")[0].strip(" (:;,") for code in codes(page)]
    flat = " ".join(text.split()).lower()
    assert any(len(head) > 8 and head.lower() in flat for head in heads), heads


def test_every_failure_with_ways_on_has_a_page() -> None:
    """Whoever adds a code with ways on adds it to a page."""
    told = {code for page in PAGES for code in codes(page)}
    assert set(_BY_CODE) - told == ELSEWHERE & set(_BY_CODE)


def test_the_list_of_pages_is_whole() -> None:
    """docs/failures/README.md is where one begins."""
    listed = (DOCS / "failures" / "README.md").read_text(encoding="utf-8")
    assert sorted(set(re.findall(r"\(([a-z-]+\.md)\)", listed))) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """And to files that are there."""
    for link in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_the_tool_has_the_pages_that_the_folder_has() -> None:
    """One source: what `?` and `explain` show is what is read here."""
    assert [page.name for page in pages()] == [path.stem for path in PAGES]
    for page, path in zip(pages(), PAGES, strict=True):
        assert sorted(page.codes) == sorted(codes(path)) and page.text in path.read_text(encoding="utf-8")
        assert page.title and "Codes:" not in page.text


def test_a_code_leads_to_its_page() -> None:
    """Those of single rows by how they begin; a name is found as people type it."""
    named = {
        "oom": "out-of-memory",
        "data_json_truncated": "bad-row",
        "in_use": "folder-taken",
        "data_gave_up": "bad-row",
    }
    assert {code: page_of(code).name for code in named} == named  # type: ignore[union-attr]
    assert page_of("nothing_to_resume") is None and page_of("") is None
    for words in ("out-of-memory", "Out of memory", "OUT_OF_MEMORY", "oom", "crashed_memory"):
        found = page_named(words)
        assert found is not None and found.name == "out-of-memory"
    assert page_named("memory") is None and page_named("") is None


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_is_plain_text_where_it_is_read(page: Page) -> None:
    """No mark of Markdown, no link that leads nowhere, every command whole, and no paragraph broken into lines."""
    text = failure_text(page)
    assert not re.search(r"\*\*|`|\]\(|^#+ \w|\.\./", text, re.MULTILINE)
    assert [f"{part}:" for part in PARTS] == [line for line in text.split("\n") if line.removesuffix(":") in PARTS]
    for command in re.findall(r"^sft-wizard .+$", page.text, re.MULTILINE):
        assert f"  {command}" in text.split("\n")
    assert "\n\n\n" not in text and not text.endswith("\n")


def test_another_language_says_that_the_page_is_english() -> None:
    """Rather than changing the language in the middle without a word."""
    page = pages()[0]
    assert "English" not in failure_text(page)
    set_language("zh")
    try:
        assert len(failure_text(page).split("\n")[1]) > 4
    finally:
        set_language("en")
