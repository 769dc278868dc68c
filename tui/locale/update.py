"""Keep the catalogues up to date (`make words`): collect every sentence, merge, compile.

Sentences come from calls in the sources, `_("…")`, `noop("…")` and `Phrase("…")`, and from the tables that are read as
data: problems, config keys, presets, samples. What is written depends on the sources alone: no dates, no line numbers.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from engine.config.fates import sentences
from engine.config.schema import DataSource, MergeConfig, TrainConfig, WizardConfig, fields, meta
from engine.messages import catalogue
from tui.words import LANGUAGES, SOURCE

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TEMPLATE = HERE / "sft_wizard.pot"
HEADER = "# The sentences of sft-wizard. Written by `make words`; only the lines after msgstr are for editing."
CALLS = {"_", "noop", "Phrase"}

Found = dict[str, set[str]]  # {sentence: the files it stands in}


class Words(Catalog):
    """A catalogue whose header says nothing of dates and tools."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        """What gettext needs to read the file, and no more."""
        headers = [("Project-Id-Version", "sft-wizard"), ("Language", self.locale_identifier or "")]
        headers += [("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=utf-8")]
        return [*headers, ("Content-Transfer-Encoding", "8bit")]


def collect(root: Path = ROOT) -> Found:
    """Every sentence that can reach a person, in the order of files and lines."""
    found: Found = {}
    for file in sources(root):
        for call in calls(ast.parse(file.read_text(encoding="utf-8"))):
            _add(found, literal(call), file.relative_to(root))
    for place, text in tables(root):
        _add(found, text, place)
    return found


def sources(root: Path = ROOT) -> list[Path]:
    """All Python files of ours that hold sentences."""
    return sorted(file for room in ("engine", "tui") for file in (root / room).rglob("*.py"))


def calls(tree: ast.AST) -> list[ast.Call]:
    """Calls of the functions that take a sentence, in the order of the lines."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args and called(node) in CALLS]
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))


def called(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def literal(call: ast.Call) -> str | None:
    """The sentence of a call, or None where it comes out of a table."""
    first = call.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def tables(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """(file, sentence) of what is read as data."""
    for message in catalogue().values():
        yield from ((Path("engine/messages.py"), text) for text in (message.text, message.hint))
    for struct in (TrainConfig, MergeConfig, DataSource, WizardConfig):
        for name in fields(struct):
            about = meta(struct, name)
            yield Path("engine/config/schema.py"), about.description or ""
            yield Path("engine/config/schema.py"), (about.extra or {}).get("usual", "")
    yield from ((Path("engine/config/keys.yaml"), text) for text in sentences())
    for file in sorted((root / "templates").glob("[ps]*/*.yaml")):
        entry = yaml.safe_load(file.read_text(encoding="utf-8"))
        yield from ((file.relative_to(root), entry[name]) for name in ("title", "reason") if name in entry)


def merged(found: Found, code: str | None = None, said: dict[str, str] | None = None) -> Words:
    """The catalogue of `found` with what is `said` already; without a code, the template."""
    catalog = Words(code, header_comment=HEADER, fuzzy=False)
    for text, places in found.items():
        message = catalog.add(text, (said or {}).get(text, ""), [(place, 0) for place in sorted(places)])
        message.flags.discard("python-format")  # Babel takes "5 % of" for one
    return catalog


def translations(file: Path, all_of_them: bool = False) -> dict[str, str]:
    """{sentence: its translation} of a .po file, by itself without those that have none yet."""
    if not file.exists():
        return {}
    with file.open("rb") as stream:
        return {
            str(entry.id): str(entry.string) for entry in read_po(stream) if entry.id and (entry.string or all_of_them)
        }


def written(catalog: Words) -> bytes:
    """As .po or .pot."""
    stream = io.BytesIO()
    write_po(stream, catalog, width=120, include_lineno=False)
    return stream.getvalue()


def compiled(catalog: Words) -> bytes:
    """As .mo."""
    stream = io.BytesIO()
    write_mo(stream, catalog)
    return stream.getvalue()


def po_file(code: str) -> Path:
    """The translations of a language."""
    return HERE / code / "LC_MESSAGES" / "sft_wizard.po"


def main() -> None:
    """Write all files; the sentences that still need words go to stderr."""
    found = collect()
    TEMPLATE.write_bytes(written(merged(found)))
    for code in LANGUAGES:
        if code == SOURCE:
            continue
        file = po_file(code)
        file.parent.mkdir(parents=True, exist_ok=True)
        catalog = merged(found, code, translations(file))
        file.write_bytes(written(catalog))
        file.with_suffix(".mo").write_bytes(compiled(catalog))
        for text in found:
            if not catalog[text].string:
                print(f"{code}: not translated yet: {text!r}", file=sys.stderr)


def _add(found: Found, text: str | None, place: Path) -> None:
    rest = re.sub(r"{[^{}]*}", "", text or "").strip()
    # 4–64 and {hint} say the same in every language; "{word}: {meaning}" does not.
    if text and rest and (re.search(r"[^\W\d_]", rest) or not re.search(r"\d", rest)):
        found.setdefault(text, set()).add(place.as_posix())


if __name__ == "__main__":
    main()
