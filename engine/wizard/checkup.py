"""What the doctor says of this machine, as far as it matters before a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.doctor.check import STATUS_WORDS, Check
from engine.hardware.report import Hardware
from engine.text import Phrase

if TYPE_CHECKING:
    from engine.wizard.session import Wizard

# Beginnings of the ids that are always told, in this order after what is not well; of the others only the latter.
TOLD = ("gpu", "torch", "processor", "memory", "folder.cwd", "hub", "python", "packages")
NO_GPU = Phrase(
    "Training goes on the processor, many times slower than on a GPU. The built-in model learns a shipped sample in "
    "minutes; a model of some billion parameters would take days."
)


def checks(wizard: Wizard) -> list[Check]:
    """Those to tell; none while they are not known."""
    found = [Check.unpacked(raw) for raw in wizard.found("checks") or ()]
    told = [check for check in found if check.status != "ok" or (_told(check) and check.id != "packages.optional")]
    return sorted(told, key=lambda check: (check.status == "ok", _place(check)))


def cards_apart(found: Sequence[Check]) -> list[Check]:
    """Without those of single cards, where these stand in a list to choose from."""
    return [check for check in found if not _is_card(check)]


def advice(hardware: Hardware) -> list[Phrase]:
    """What a machine without a GPU means."""
    return [] if hardware.gpus else [NO_GPU]


def check_lines(wizard: Wizard) -> list[Phrase]:
    """What follows from the machine, then the checks as sentences, each followed by what to do."""
    machine = wizard.found("hardware")
    lines = advice(machine.hardware) if machine else []
    for check in checks(wizard):
        told = {"status": STATUS_WORDS[check.status], "title": check.title, "finding": check.finding}
        lines.append(Phrase("{status}: {title}: {finding}", told))
        if check.remedy.text and check.status != "ok":
            lines.append(Phrase("  -> {remedy}", {"remedy": check.remedy}))
    return lines


def _is_card(check: Check) -> bool:
    return check.id.startswith("gpu.") and not check.id.startswith("gpu.note")


def _told(check: Check) -> bool:
    return any(check.id == begin or check.id.startswith(f"{begin}.") for begin in TOLD)


def _place(check: Check) -> int:
    places = [place for place, begin in enumerate(TOLD) if check.id == begin or check.id.startswith(f"{begin}.")]
    return places[0] if places else len(TOLD)
