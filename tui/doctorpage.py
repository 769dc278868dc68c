"""What the doctor found, on stdout: a line for each check, and under it what to do."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from io import TextIOWrapper

from rich.console import Console
from rich.text import Text

from engine.doctor.check import Check, Diagnosis
from engine.doctor.examine import Sources, examine
from engine.text import Phrase, listed, verbatim
from tui.checklines import check_lines
from tui.term import TerminalProfile
from tui.words import _

NARROWEST, WIDEST = 60, 120  # cells of a line, whatever the terminal
SMALLEST = (80, 24)
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def show_doctor(as_json: bool) -> int:
    """Examine and tell. Returns 0 where nothing failed, else 3."""
    found = examine(Sources.here())
    stdin, stderr = sys.stdin.isatty(), sys.stderr.isatty()
    profile = TerminalProfile.of(os.environ, stdin=stdin, stderr=stderr, encoding=sys.stderr.encoding or "ascii")
    size = shutil.get_terminal_size(SMALLEST)
    found = replace(found, checks=(*found.checks, check_terminal(profile, (size.columns, size.lines), os.environ)))
    if as_json:
        print(json.dumps(as_dict(found)))
    else:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names and paths that no ASCII terminal can show
        console = Console(highlight=False, soft_wrap=True)
        for line in page(found, min(max(size.columns, NARROWEST), WIDEST)):
            console.print(line)
    return found.exit_code


def check_terminal(profile: TerminalProfile, size: tuple[int, int], environ: Mapping[str, str]) -> Check:
    """Whether the wizard can draw here. size: columns and lines."""
    title, values = Phrase("Terminal"), {"columns": size[0], "lines": size[1], "term": environ.get("TERM", "")}
    if profile.obstacle == "no_terminal":
        return Check("terminal", "ok", title, Phrase("none here; the wizard needs one, the commands do not"))
    parts = [verbatim(f"TERM={values['term']}"), Phrase("{columns} columns, {lines} lines", values)]
    colours = {None: Phrase("no colours"), 16: Phrase("16 colours"), 256: Phrase("256 colours")}
    parts.append(colours.get(profile.colours, Phrase("all colours")))
    parts += [Phrase("UTF-8")] if profile.unicode else []
    if profile.obstacle == "dumb":
        told = Phrase("the wizard asks at plain prompts")
        remedy = Phrase("For the full screen set TERM to what your terminal is, e.g. xterm-256color.")
        return Check("terminal", "warn", title, listed([*parts, told]), remedy)
    if profile.obstacle == "accessible":
        return Check("terminal", "ok", title, listed([*parts, Phrase("plain prompts, as ACCESSIBLE asks for")]))
    if size[0] < SMALLEST[0] or size[1] < SMALLEST[1]:
        remedy = Phrase("Make the window at least 80 columns wide and 24 lines high.")
        return Check("terminal", "warn", title, listed([*parts, Phrase("too small for the wizard")]), remedy)
    if environ.get("TERM") == "linux":
        return Check("terminal", "ok", title, listed([*parts, Phrase("the console has few glyphs: drawn in ASCII")]))
    if not profile.unicode:
        told = Phrase("no UTF-8: lines are drawn in ASCII, and the language is English")
        remedy = Phrase("Choose a locale with UTF-8: export LC_ALL=C.UTF-8")
        return Check("terminal", "warn", title, listed([*parts, told]), remedy)
    return Check("terminal", "ok", title, listed(parts))


def as_dict(found: Diagnosis) -> dict[str, object]:
    """Everything as JSON, in English."""
    checks = [check.as_dict() for check in found.checks]
    counts = {status: found.count(status) for status in ("ok", "warn", "fail")}
    return {"exit_code": found.exit_code, "counts": counts, "checks": checks, **found.facts}


def page(found: Diagnosis, width: int) -> list[Text]:
    """The findings in columns, then how many there are of each kind."""
    lines = [
        Text.assemble((line.word, _STYLES[line.status] if line.word.strip() else ""), line.rest)
        for line in check_lines(found.checks, width)
    ]
    counts = {status: found.count(status) for status in ("ok", "warn", "fail")}
    summary = _("Failed: {fail}. Warnings: {warn}. Fine: {ok}.").format(**counts)
    return [*lines, Text(), Text(summary)]
