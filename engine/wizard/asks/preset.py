"""Where to begin with the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.memory.presets import Preset, presets
from engine.text import Phrase
from engine.wizard.questions import Choice, Question

if TYPE_CHECKING:
    from engine.wizard.session import Wizard


def questions() -> list[Question]:
    """In the order they are asked."""
    return [
        Question(
            "preset",
            "preset",
            "choice",
            Phrase("Memory preset"),
            Phrase("The memory that is free decides. Less than recommended always works, and takes longer."),
            lambda wizard: wizard.recommended(),
            _presets,
        )
    ]


def _presets(wizard: Wizard) -> tuple[Choice, ...]:
    """The recommended one first; the others as they are listed, without a GPU's use for that of the processor."""
    first, machine = wizard.recommended().value, wizard.found("hardware")
    gpu = machine is not None and machine.hardware.best() is not None

    def place(preset: Preset) -> tuple[bool, bool, bool]:
        return preset.name != first, not preset.automatic, gpu and not preset.on_gpu

    def note(preset: Preset) -> Phrase:
        names = {
            "batch": "per_device_train_batch_size",
            "times": "gradient_accumulation_steps",
            "length": "cutoff_len",
            "rank": "lora_rank",
        }
        told = {word: preset.setting(name) for word, name in names.items()}
        return Phrase("{batch} × {times}, {length} tokens, rank {rank}", told)

    return tuple(
        Choice(preset.name, preset.heading, note(preset), recommended=preset.name == first)
        for preset in sorted(presets(), key=place)
    )
