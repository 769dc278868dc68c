"""What was found out, as lines for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.text import Phrase, verbatim
from engine.wizard.checkup import check_lines

if TYPE_CHECKING:
    from engine.wizard.session import Wizard


def about(wizard: Wizard, step: str) -> list[Phrase]:
    """Lines of facts for a step; none while they are not known."""
    found = {"hardware": check_lines, "model": _model, "data": _data, "preset": _preset, "settings": _none}
    return found.get(step, _none)(wizard)


def _none(wizard: Wizard) -> list[Phrase]:
    return []


def _model(wizard: Wizard) -> list[Phrase]:
    found: dict[str, Any] | None = wizard.found("model")
    if found is None:
        return []
    if not found["here"]:
        size = f"{found['bytes'] / 1e9:.1f}" if found["bytes"] else "?"
        return [Phrase("{name} is downloaded when the run starts: {size} GB.", {"name": found["name"], "size": size})]
    figures = {"name": found["name"], "size": found["size"], "kind": found["model_type"]}
    figures["bytes"] = f"{found['bytes'] / 1e9:.1f}"
    return [Phrase("{name}: {size} parameters ({kind}), {bytes} GB, on this machine.", figures)]


def _data(wizard: Wizard) -> list[Phrase]:
    found: dict[str, Any] | None = wizard.found("data")
    if found is None:
        return []
    count = Phrase("{rows} rows", {"rows": found["rows"]})
    if not found["whole"]:
        count = Phrase("more than {rows} rows", {"rows": found["rows"]})
    if not found["mapping"]:
        columns = ", ".join(found["columns"])
        return [Phrase("{count}, with the columns {columns}.", {"count": count, "columns": columns})]
    used = ", ".join(f"{target} = {column}" for target, column in found["mapping"].items())
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
