"""The ways on from a failure in lines, and what some of them have to show: a row, what can be deleted."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from engine.runs.actions import Command, Edit, Fix, Row, command_of
from engine.runs.fixes import fixes
from engine.runs.folder import RunFolder
from engine.runs.leftovers import Leftover
from engine.runs.view import RunView, Snapshot
from engine.text import clean
from engine.wizard.mending import question_of
from tui.phases import size_words
from tui.shell import command_lines
from tui.words import _, say

NEAR = 2  # lines shown before and after a row
LONGEST = 20_000  # characters of a row
SHOWN = 20  # leftovers


def ways_on(seen: Snapshot, *, ours: bool) -> list[Fix]:
    """The ways of a run; those that edit a setting only where there is a question for it."""
    found = fixes(seen, seen.config, ours=ours)
    return [fix for fix in found if not isinstance(fix.action, Edit) or question_of(fix.action.key)]


def fix_lines(found: Sequence[Fix]) -> list[str]:
    """Numbered, each with why it may help."""
    lines = []
    for number, fix in enumerate(found, 1):
        told, why = say(fix.label), say(fix.why)
        if why:
            line = _("{label}: {why}") if isinstance(fix.action, Command | Row) else _("{label}. {why}")
            told = line.format(label=told, why=why)
        lines.append(f"  {number}. {told}")
    return lines


def command_page(run: RunFolder) -> list[str]:
    """The ways on from a run as commands, for whoever has no screen; nothing of one that did not end badly."""
    seen = RunView(run).poll()
    found = ways_on(seen, ours=False) if seen.status.state in ("failed", "crashed") else []
    lines = [_("What can be done, the likeliest first:")] if found else []
    for line, fix in zip(fix_lines(found), found, strict=True):
        command = command_of(fix, seen.run, str(seen.config.get("file", "")))
        lines += [line] if command == say(fix.why) else [line, f"     {clean(command)}"]
    return lines


def row_words(file: str, line: int) -> str:
    """A line of a file between its neighbours, cleaned; a long one is cut."""
    first = max(1, line - NEAR)
    try:
        with Path(file).open("rb") as stream:
            found = list(islice(stream, first - 1, line + NEAR))
    except OSError as error:
        return _("{file} cannot be read: {reason}").format(file=clean(file), reason=clean(error.strerror or error))
    lines = []
    for number, raw in enumerate(found, first):
        text = clean(raw.decode("utf-8", "replace").rstrip("\n"), LONGEST if number == line else 200)
        lines += [f"{'>' if number == line else ' '} {number}: {text}", ""]
    return "\n".join(lines) or _("The file has no line {line} any more.").format(line=line)


def leftover_words(found: list[Leftover], cells: int) -> str:
    """Each with its size and the command that deletes it, in lines of this width."""
    if not found:
        return _("Nothing of this tool's can be deleted here: free some space elsewhere on this disk.")
    lines = []
    for one in found[:SHOWN]:
        lines.append(f"{size_words(one.size):>8}  {say(one.what)}: {clean(one.path)}")
        lines += [f"          {line}" for line in command_lines(clean(shlex.join(one.command)), cells - 10)]
    if len(found) > SHOWN:
        lines.append(_("and {more} more").format(more=len(found) - SHOWN))
    return "\n".join(lines)
