"""What was found out, as lines for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.text import Phrase, verbatim
from engine.wizard.checkup import check_lines
from engine.wizard.columns import few
from engine.wizard.model_facts import lines

if TYPE_CHECKING:
    from engine.wizard.session import Wizard


def about(wizard: Wizard, step: str) -> list[Phrase]:
    """Lines of facts for a step; none while they are not known."""
    found = {"hardware": check_lines, "model": lines, "data": _data, "preset": _preset, "settings": _none}
    return found.get(step, _none)(wizard)


def _none(wizard: Wizard) -> list[Phrase]:
    return []


def _data(wizard: Wizard) -> list[Phrase]:
    found: dict[str, Any] | None = wizard.found("data")
    if found is None:
        return []
    count = Phrase("{rows} rows", {"rows": found["rows"]})
    if not found["whole"]:
        count = Phrase("more than {rows} rows", {"rows": found["rows"]})
    if not found["mapping"]:
        columns = ", ".join(few(found["columns"]))
        return [Phrase("{count}, with the columns {columns}.", {"count": count, "columns": columns})]
    used = ", ".join(f"{target} = {few([column])[0]}" for target, column in found["mapping"].items())
    lines = [Phrase("{count}, read as {used}.", {"count": count, "used": used})]
    if found["dropped"]:
        lines.append(Phrase("{dropped} rows cannot be used and are left out.", {"dropped": found["dropped"]}))
    return lines


def _preset(wizard: Wizard) -> list[Phrase]:
    machine = wizard.found("hardware")
    return [wizard.preset().why] if machine else []


def preview_line(voice: str) -> Phrase:
    """Who speaks in the preview of a sample."""
    return _VOICES.get(voice) or verbatim(voice)


_VOICES = {
    "system": Phrase("System"),
    "user": Phrase("Question"),
    "assistant": Phrase("Answer (this is learned)"),
    "observation": Phrase("Tool"),
    "function": Phrase("Tool call"),
}
