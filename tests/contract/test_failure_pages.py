"""docs/failures has a page for every failure that the wizard knows ways on from, and each says what the tool says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.messages import catalogue
from engine.runs.causes import _BY_CODE

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path for path in (DOCS / "failures").glob("*.md") if path.name != "README.md")
PARTS = ["What you see", "Why", "What the wizard offers", "By hand", "So that it does not happen again"]
# Codes with ways on that have a page of their own elsewhere, or are mistakes of a file that the message explains whole.
ELSEWHERE = {
    *("model_missing_near", "model_unknown", "model_unknown_near", "model_folder_incomplete"),
    *("hub_set_offline", "hub_set_unreachable", "hub_set_unknown"),
    *("no_rows_left", "end_mark_cut", "unknown_template_near", "tokenizer_not_fast"),
    *("checkpoint_unusable", "nothing_to_resume"),
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
