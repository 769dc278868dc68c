"""Which card the run takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.hardware import GIB, Gpu
from engine.hardware.users import is_busy, users
from engine.text import Phrase
from engine.wizard.questions import Choice, Default, Question

if TYPE_CHECKING:
    from engine.wizard.session import Wizard


def questions() -> list[Question]:
    """In the order they are asked."""
    return [
        Question(
            "gpu",
            "hardware",
            "choice",
            Phrase("GPU"),
            Phrase("The card that the run takes. It is left alone by the others, and they by it."),
            _freest,
            _cards,
            applies=lambda wizard: len(_gpus(wizard)) > 1,
        )
    ]


def memory_line(gpu: Gpu) -> Phrase:
    """What is free on a card."""
    return Phrase("{free} of {total} GB free", {"free": f"{gpu.free / GIB:.1f}", "total": f"{gpu.total / GIB:.1f}"})


def users_line(gpu: Gpu) -> Phrase:
    """Who holds how much of it."""
    return Phrase("{used} GB used by {who}", {"used": f"{(gpu.used or 0) / GIB:.1f}", "who": users(gpu)})


def _gpus(wizard: Wizard) -> tuple[Gpu, ...]:
    machine = wizard.found("hardware")
    return machine.hardware.gpus if machine else ()


def _freest(wizard: Wizard) -> Default:
    best = max(_gpus(wizard), key=lambda gpu: gpu.free, default=None)
    return Default(best.uuid if best else "", Phrase("it has most free memory"))


def _cards(wizard: Wizard) -> tuple[Choice, ...]:
    """The freest first, the others as nvidia-smi counts them."""
    first = _freest(wizard).value

    def choice(gpu: Gpu) -> Choice:
        note = memory_line(gpu)
        if is_busy(gpu):
            note = Phrase("{memory}, {users}", {"memory": note, "users": users_line(gpu)})
        name = Phrase("GPU {index}: {name}", {"index": gpu.label, "name": gpu.name})
        return Choice(gpu.uuid, name, note, recommended=gpu.uuid == first)

    return tuple(choice(gpu) for gpu in sorted(_gpus(wizard), key=lambda gpu: gpu.uuid != first))
