"""English words for what goes wrong in a talk."""

from __future__ import annotations

from engine.messages import Message

MESSAGES: dict[str, Message] = {
    "chat_oom": Message(
        "Out of memory: the model does not fit, or its talk has grown too long. {reason}",
        "End what else uses the memory (nvidia-smi lists it), forget the talk, or let the processor answer.",
    ),
    "chat_died": Message(
        "The process that held the model is gone ({how}). Often this is the system's out-of-memory killer.",
        "A question loads it again. Its last words: {log}",
    ),
    "chat_option_unknown": Message("{name} is no setting of a talk.", "There are: {known}"),
    "chat_option_number": Message(
        "{given} is not taken: a number from {least} to {most}.", "What was set before stays."
    ),
}
