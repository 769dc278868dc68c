"""keys: the table of keys, or what becomes of each key of a file. On stdout, to be read through a pager or a pipe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size

from engine.config.explaining import Explained, KeyFate, explain
from engine.config.listing import Row, rows
from engine.errors import EXIT_OK, EXIT_USAGE, ConfigError, Problem
from engine.messages import render
from engine.text import Phrase, one_line
from tui.words import _, noop, problem_line, problem_text, say, translate
from tui.wrapping import wrap

WIDTH = 80  # cells; a wide character takes two
VALUE = 44  # cells of a key with its value
INDENT = "      "
_OUTCOMES = {
    "used": noop("used"),
    "passed on": noop("passed on to transformers"),
    "older name": noop("older name"),
    "default": noop("is the default"),
    "no effect": noop("no effect here"),
    "refused": noop("not supported"),
    "unknown": noop("unknown"),
    "wrong": noop("wrong"),
}


def show_table(as_json: bool, as_markdown: bool) -> int:
    """Every key, part by part."""
    if as_markdown:
        from engine.config.document import markdown

        print(markdown(), end="")
    elif as_json:
        print(json.dumps([_row_dict(row) for row in rows()], ensure_ascii=False))
    else:
        for part, found in groupby(rows(), key=lambda row: row.part.text):
            print(translate(part).upper(), end="\n\n")
            for row in found:
                print("\n".join(_row_lines(row)))
            print()
    return EXIT_OK


def show_file(file: Path, words: Sequence[str], as_json: bool) -> int:
    """Each key of a file. Returns 0 where no key stops it, else 2. Raises ConfigError where it cannot be read."""
    from engine.config.overrides import pairs

    try:
        found = explain(file, pairs(words))
    except ConfigError as error:
        if as_json:
            print(json.dumps({"runs": False, "keys": [], "problems": [_problem(one) for one in error.problems]}))
        raise
    code = EXIT_OK if found.runs else EXIT_USAGE
    if as_json:
        print(json.dumps(_file_dict(found), ensure_ascii=False))
        return code
    for place, keys in groupby(found.keys, key=lambda key: key.file):
        print(one_line(place), end="\n\n")
        for key in keys:
            print("\n".join(_key_lines(key)))
        print()
    for problem in found.rest:
        print(problem_line(problem))
    print(_("It would run, as far as its keys go.") if found.runs else _("It would not run."))
    return code


def _row_lines(row: Row) -> Iterable[str]:
    default = _("default {value}").format(value=row.default) if row.default else ""
    if not row.default and row.status == "implemented" and row.takes.text:
        default = _("required")
    takes = say(row.takes)
    yield f"  {row.key}" + (f"  ({default})" if default else "")
    for text in (takes, say(row.text), say(row.instead)):
        yield from _wrapped(text)


def _key_lines(key: KeyFate) -> Iterable[str]:
    line = "" if key.line is None else str(key.line)
    value = say(key.value) if isinstance(key.value, Phrase) else key.value
    shown = f"{one_line(key.key)}: {value}"
    shown = shown if cell_len(shown) <= VALUE else set_cell_size(shown, VALUE - 2) + " …"
    yield f"{line:>4}  {set_cell_size(shown, VALUE)}  {translate(_OUTCOMES[key.outcome])}"
    for problem in key.problems:
        for text in problem_text(replace(problem, file=None, line=None, column=None)).split("\n"):
            yield from _wrapped(text.strip())


def _wrapped(text: str) -> list[str]:
    return [INDENT + line for line in wrap(one_line(text), WIDTH - cell_len(INDENT))] if text else []


def _row_dict(row: Row) -> dict[str, Any]:
    """English, as all that programs read."""
    texts = {"takes": str(row.takes), "text": str(row.text), "instead": str(row.instead)}
    found = {"key": row.key, "status": row.status, "part": str(row.part), "default": row.default, **texts}
    return {name: value for name, value in found.items() if value or name == "default"}


def _file_dict(found: Explained) -> dict[str, Any]:
    keys = [
        {
            "key": key.key,
            "file": key.file,
            "line": key.line,
            "outcome": key.outcome,
            "problems": [_problem(problem) for problem in key.problems],
        }
        for key in found.keys
    ]
    rest = [_problem(problem) for problem in found.rest]
    return {"file": str(found.file), "kind": found.kind, "runs": found.runs, "keys": keys, "problems": rest}


def _problem(problem: Problem) -> dict[str, Any]:
    return problem.as_dict() | {"text": render(problem)}
