"""`sft-wizard explain`: a word of the trade, a key, a trouble or a failure, as `?` in the wizard tells it."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Sequence

from engine.config.listing import rows
from engine.errors import EXIT_OK, EXIT_USAGE
from engine.failures import page_named, pages
from engine.glossary import TERMS, matching
from engine.text import clean
from tui.helptext import advice_text, found_text, heading, term_text
from tui.lines import Lines
from tui.words import _, say, translate


def explain(words: Sequence[str], *, as_json: bool) -> int:
    """Without words all of it. Returns 2 where nothing mentions them, and names what is like them on stderr."""
    asked = " ".join(words).strip()
    terms, advice = matching(asked, translate)
    if as_json:
        told = [page for page in pages() if not asked or page is page_named(asked)]
        found = {
            "words": {str(term.name): str(term.meaning) for term in terms},
            "advice": {str(one.trouble): [str(way) for way in one.ways] for one in advice},
            "failures": {page.name: page.text for page in told},
        }
        print(json.dumps(found, ensure_ascii=False))
        return EXIT_OK if any(found.values()) else EXIT_USAGE
    text = found_text(asked) if asked else _everything()
    if not text:
        print(_("Nothing mentions {words}.").format(words=clean(asked)), file=sys.stderr)
        near = difflib.get_close_matches(asked.lower(), _names(), n=3, cutoff=0.6)
        if near:
            print(_("There is: {names}").format(names=_(", ").join(near)), file=sys.stderr)
        return EXIT_USAGE
    page = Lines()
    for line in text.split("\n"):
        page.line(line.lstrip(), indent=len(line) - len(line.lstrip())) if line else page.blank()
    return EXIT_OK


def _everything() -> str:
    terms, advice = matching("")
    parts = ["\n".join([heading(_("Words")), *map(term_text, terms)]), heading(_("When it is not as it should be"))]
    failures = [f"{page.name:20} {page.title}" for page in pages()]
    return "\n\n".join([*parts, *map(advice_text, advice), "\n".join([heading(_("When a run fails")), *failures])])


def _names() -> list[str]:
    return [*(say(term.name).lower() for term in TERMS), *(row.key for row in rows()), *(page.name for page in pages())]
