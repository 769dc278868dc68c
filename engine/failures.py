"""The pages of docs/failures, which come with the tool: what each kind of failure is, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from engine.errors import Problem


@dataclass(frozen=True)
class Page:
    """name: of its file, as it is asked for. codes: of the problems that it is about; beginnings: how others begin.

    text: in Markdown, without the title and the codes.
    """

    name: str
    title: str
    codes: tuple[str, ...]
    beginnings: tuple[str, ...]
    text: str

    def tells_of(self, code: str) -> bool:
        """Whether a problem of this code is what it is about."""
        return code in self.codes or code.startswith(self.beginnings)


@cache
def pages() -> tuple[Page, ...]:
    """All of them, by name."""
    folder = resources.files("templates") / "failures"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    return tuple(_read(file.name, file.read_text("utf-8")) for file in files if file.name != "README.md")


def page_of(code: str) -> Page | None:
    """The one about problems of this code: one that names it comes before one that names how it begins."""
    found = [page for page in pages() if page.tells_of(code)]
    return next((page for page in found if code in page.codes), found[0] if found else None)


def page_about(problems: Sequence[Problem]) -> str:
    """The name of the one about the first of these, which is the cause; empty where there is none."""
    page = page_of(problems[0].code) if problems else None
    return page.name if page else ""


def page_named(words: str) -> Page | None:
    """The one of this name, as a person may type it, or the one about problems of this code."""
    name = "-".join(words.lower().replace("_", " ").replace("-", " ").split())
    found = next((page for page in pages() if page.name == name), None)
    return found or next((page for page in pages() if name.replace("-", "_") in page.codes), None)


def _read(file: str, text: str) -> Page:
    title, _, rest = text.removeprefix("# ").partition("\n")
    listed, _, rest = rest.partition("Codes:")[2].partition("\n\n")
    listed_codes = re.findall(r"`([a-z_]+…?)`", listed)
    codes = tuple(code for code in listed_codes if not code.endswith("…"))
    beginnings = tuple(code.removesuffix("…") for code in listed_codes if code.endswith("…"))
    return Page(file.removesuffix(".md"), title.strip(), codes, beginnings, rest.strip())
