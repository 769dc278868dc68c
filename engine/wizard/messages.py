"""English words for answers that the wizard does not take."""

from __future__ import annotations

from engine.messages import Message

MESSAGES: dict[str, Message] = {
    "answer_empty": Message("Nothing was given.", "Type it, then press Enter."),
    "answer_not_offered": Message("{given} is not one of the choices."),
    "answer_yes_or_no": Message("{given} is neither yes nor no."),
    "answer_no_number": Message("{given} is not a number."),
    "answer_too_small": Message("It has to be at least {least}."),
    "columns_unknown": Message(
        "The names of the columns do not say which is the question and which the answer: {columns}.",
        "Choose the columns below.",
    ),
    "files_in_the_way": Message(
        "{folder} holds other files of these names: {files}",
        "Choose another folder for the project, or have them replaced; the old ones are kept.",
    ),
    "helper_died": Message(
        "Looking into {what} ended without a word ({how}).", "Try again; the system may be out of memory."
    ),
    "rows_unusable": Message("With these columns none of the rows can be used.", "Choose others under the rare ones."),
    "nobody_to_ask": Message(
        "There is no terminal to ask questions on.",
        "Run a config instead: sft-wizard --replay config.yaml. sft-wizard new DIR writes one without asking.",
    ),
}
