"""A page of docs/failures as plain text: paragraphs on one line each, lists and commands as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.errors import Problem
from engine.failures import Page, page_named, page_of
from tui.report import command
from tui.words import SOURCE, _, language

_ITEM = re.compile(r"(?:-|\d+\.) ")
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#]*)(?:#[^)]*)?\)")


def failure_text(page: Page) -> str:
    """All of it, under its title. There is only the English one, which is said in other languages."""
    head = [f"── {page.title}"]
    if language() != SOURCE:
        head.append(_("This page is in English."))
    return "\n".join([*head, "", *_lines(page.text)]).rstrip()


def more_line(problems: Sequence[Problem]) -> str:
    """The command that shows the page about these; empty where there is none."""
    found = next((page for problem in problems if (page := page_of(problem.code))), None)
    return _("More on this: {command}").format(command=f"{command()} explain {found.name}") if found else ""


def _lines(text: str) -> Iterator[str]:
    paragraph, code = "", False
    for line in [*re.sub(r"^(## .*)\n\n", r"\1\n", text, flags=re.MULTILINE).split("\n"), ""]:
        if line.startswith("```"):
            code = not code
            continue
        going_on = paragraph and line.strip() and not code and not _ITEM.match(line)
        if going_on:
            paragraph += f" {line.strip()}"
            continue
        if paragraph:
            yield plain_words(paragraph)
        paragraph = ""
        if code:
            yield f"  {line}"
        elif line.startswith("## "):
            yield f"{line[3:]}:"
        elif line.strip():
            paragraph = f"  {line}" if _ITEM.match(line) else line
        else:
            yield ""


def plain_words(text: str) -> str:
    """Without Markdown's marks; messages that are quoted stand in quotes, and links say what shows them."""
    text = _LINK.sub(_link, text).replace("**", "")
    return re.sub(r"\*([^*]+)\*", r'"\1"', text).replace("`", "")


def _link(found: re.Match[str]) -> str:
    words, target = found[1], found[2]
    page = page_named(target.removesuffix(".md"))
    if page is not None:
        return f"sft-wizard explain {page.name}"
    return target.replace("../", "docs/", 1) if target.startswith("../") else words
