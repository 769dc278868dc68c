"""English words for the problems of presets and estimates."""

from __future__ import annotations

from engine.messages import Message

MESSAGES: dict[str, Message] = {
    "preset_key": Message(
        "{key} is not for a preset: it is a project's own, a path or a secret.",
        "Presets set keys such as cutoff_len, lora_rank or quantization_bit; sft-wizard keys lists them.",
    ),
    "preset_no_file": Message("This is no file that could hold a preset.", "Move it out of the folder of presets."),
    "preset_twice": Message("The preset {name} is there twice: {other} is used.", "Give one of the two another name."),
    "preset_replaced": Message("Your preset {name} stands in the place of the one that ships with the tool."),
    "gpu_memory_wrong": Message(
        "--gpu-memory takes the free memory of a GPU in GB, above 0 and up to {largest}, not {given}.",
        "For example: --gpu-memory 16",
    ),
}
