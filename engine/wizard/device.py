"""The device that the run of the answers takes: the GPU that was chosen, else the one with most free memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.hardware import Gpu
from engine.text import Phrase, verbatim

if TYPE_CHECKING:
    from engine.wizard.session import Machine, Wizard


def chosen(wizard: Wizard) -> Gpu | None:
    """The card that the run takes; None where there is none, or while that is not known."""
    machine = wizard.found("hardware")
    if machine is None:
        return None
    wish = wizard.answers.get("gpu")
    named: Gpu | None = next((gpu for gpu in machine.hardware.gpus if gpu.uuid == wish), None)
    best: Gpu | None = machine.hardware.best()
    return named or best


def pinned(wizard: Wizard) -> str:
    """UUID of the card that a person chose, and that is there; empty where the run looks for the freest one itself."""
    gpu = chosen(wizard)
    return gpu.uuid if gpu and gpu.uuid == wizard.answers.get("gpu") else ""


def machine_of(wizard: Wizard) -> Machine | None:
    """The machine as the run sees it, with that one card. All estimates are of this one."""
    machine: Machine | None = wizard.found("hardware")
    gpu = chosen(wizard)
    if machine is None or gpu is None:
        return machine
    return replace(machine, hardware=replace(machine.hardware, gpus=(gpu,)))


def gone(wizard: Wizard) -> list[Problem]:
    """A card that was chosen earlier and is not there now, and what takes its place."""
    wish, machine = wizard.answers.get("gpu"), wizard.found("hardware")
    if not wish or machine is None or pinned(wizard):
        return []
    instead = chosen(wizard)
    name = verbatim(instead.name) if instead else Phrase("the processor")
    return [Problem("gpu_gone", {"uuid": wish, "instead": name}, severity="warning")]


def forget(wizard: Wizard) -> None:
    """Have the machine looked at again: something was mended, or others came and went."""
    for request in [found for found in wizard.facts if found.what in ("hardware", "checks")]:
        del wizard.facts[request]
    wizard.forget_refusals()
    wizard.reckoned.clear()
