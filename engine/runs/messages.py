"""English words for how runs end."""

from __future__ import annotations

from engine.messages import Message

MESSAGES: dict[str, Message] = {
    "in_use": Message(
        "{folder} is in use by run {run} (process {pid} on {host}).",
        "Wait for it, stop it with: kill {pid} (it saves a checkpoint), or choose another output folder.",
    ),
    "not_writable": Message(
        "Nothing can be written to {folder}: no permission at {at}.", "Choose another folder, or correct its rights."
    ),
    "oom": Message(
        "Out of memory. {reason}",
        "Lower in this order: per_device_train_batch_size (raise gradient_accumulation_steps to match), cutoff_len, "
        "disable_gradient_checkpointing: false, lora_rank; then quantization_bit: 4 on a GPU.",
    ),
    "disk_full": Message("The disk is full. {path}", "Free some space, then run the same command again: it resumes."),
    "missing_package": Message(
        "The package {name} is missing: {reason}", "Install it into the same environment: pip install {name}"
    ),
    "internal": Message(
        "Something went wrong that should not: {type}: {reason}",
        "The log has the details. Running the same command again resumes from the last checkpoint.",
    ),
    "crash": Message(
        "Something went wrong that should not: {type}: {reason}", "This is a bug of sft-wizard. Details: {log}"
    ),
    "crashed": Message(
        "The worker ended without a word ({how}). Often this is the system's out-of-memory killer.",
        "See the end of {log}. Running the same command again resumes from the last checkpoint.",
    ),
}
