"""docs/keys.md out of the table of keys: `python -m engine.config.document > docs/keys.md`."""

from __future__ import annotations

from itertools import groupby

from engine.config.fates import key_table
from engine.config.listing import OLDER, PASSED, REFUSED, WITHOUT_EFFECT, Row, rows

HEAD = """\
# Keys

Every key of LLaMA-Factory 0.8 to 0.9.5 and of transformers 4.45 to 5.x, and what becomes of it. A key that is not here
is an error with the nearest names; none is ignored in silence. `sft-wizard keys` shows the same, `sft-wizard keys FILE`
what becomes of each key of a file. * does not change what is learned. Written by `python -m engine.config.document`.
"""


def markdown() -> str:
    """The page."""
    parts = [HEAD]
    for title, found in groupby(rows(), key=lambda row: row.part.text):
        head, cells = _SHAPES.get(title, _IMPLEMENTED)
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        lines += ["| " + " | ".join(_cell(row, cell) for cell in cells) + " |" for row in found]
        parts.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    parts.append(_values())
    return "\n".join(parts)


_IMPLEMENTED = (("key", "takes", "default", "what it does"), ("key", "takes", "default", "text"))
_SHAPES = {
    PASSED.text: (("key", "takes"), ("key", "takes")),
    OLDER.text: (("key", "used as"), ("key", "text")),
    WITHOUT_EFFECT.text: (("key", "default", "why"), ("key", "default", "text")),
    REFUSED.text: (("key", "default", "why, and what instead"), ("key", "default", "reasons")),
}


def _cell(row: Row, cell: str) -> str:
    if cell == "key":
        return f"`{row.key}`" if row.learned else f"`{row.key}` *"
    if cell == "default":
        return f"`{row.default}`" if row.default else "required"
    if cell == "reasons":
        return _plain(f"{_sentence(str(row.text))} {row.instead}")
    return _plain(_sentence(str(getattr(row, cell))) if cell == "text" else str(getattr(row, cell)))


def _values() -> str:
    lines = ["## Values that are refused", "", "| key | values | why, and what instead |", "|---|---|---|"]
    for entry in key_table()["refused_values"]:
        values = ", ".join(str(value).lower() for value in entry["values"])
        text = f"{_sentence(entry['why'])}. Instead: {entry['instead']}."
        lines.append(f"| `{entry['key']}` | {values} | {_plain(text)} |")
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    """A capital at the beginning, but not of a key's name."""
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.strip(".,:'").isalpha() else text


def _plain(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "\\|")


if __name__ == "__main__":
    print(markdown(), end="")
