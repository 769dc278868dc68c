"""English words for the problems of presets and estimates."""

from __future__ import annotations

from engine.messages import Message

MESSAGES: dict[str, Message] = {
    "preset_key": Message(
        "{key} is not for a preset: it is a project's own, a path or a secret.",
        "Presets set keys such as cutoff_len, lora_rank or quantization_bit; sft-wizard keys lists them.",
    ),
    "preset_no_file": Message("This is no file that could hold a preset.", "Move it out of the folder of presets."),
    "preset_unknown": Message("There is no preset {name}.", "There are: {known}"),
    "preset_twice": Message("The preset {name} is there twice: {other} is used.", "Give one of the two another name."),
    "preset_replaced": Message("Your preset {name} takes the place of the one that ships with the tool."),
    "gpu_memory_wrong": Message(
        "--gpu-memory takes the free memory of a GPU in GB, above 0 and up to {largest}, not {given}.",
        "For example: --gpu-memory 16",
    ),
    "gpu_memory_unused": Message(
        "This file trains on the processor ({key}: true): its memory counts, not that of --gpu-memory.",
        "Write {change} after the file to have it estimated on that GPU.",
    ),
    "trace_failed": Message(
        "A step of this model could not be traced: {reason}.",
        "The quick estimate stands in its place; it may be off by more.",
    ),
    "model_config_incomplete": Message(
        "The model's config.json cannot be used for an estimate: {field}: {reason}.",
        "Take the model's original config.json, or correct the field.",
    ),
    "size_from_config": Message("{name} is not on this machine: its size is reckoned from its config.json."),
    "data_not_counted": Message(
        "The data are not counted ({reason}): every sample is taken to have cutoff_len = {cutoff} tokens.",
    ),
    "nothing_trained": Message(
        "This config does not train (do_train: false): only training and merging are estimated."
    ),
    "nothing_learns": Message(
        "lora_target ({targets}) names no linear layer of this model: the figure counts nothing as trained.",
        "lora_target: all takes every linear layer.",
    ),
    "merge_not_known": Message("What the merge needs is not known: {name} is not on this machine."),
    "nothing_smaller": Message(
        "No setting of this job would save memory any more.",
        "Take a smaller model ({smaller}), or end what else uses the device.",
    ),
    "nothing_fits": Message(
        "No change of the settings makes this job fit: it needs {needed} GB at least, {free} GB are free.",
        "Take a smaller model ({smaller}) or a GPU with more free memory; sft-wizard estimate shows the parts.",
    ),
}
