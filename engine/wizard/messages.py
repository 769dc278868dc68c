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
    "column_of_prompt": Message(
        "The column of the question is still to be chosen.",
        "Or give an instruction for every row, where the question is always the same.",
    ),
    "column_of_response": Message("The column of the answer is still to be chosen.", "It is what is learned."),
    "sets_unknown": Message("There is no registered set {name}.", "There are: {known}"),
    "files_in_the_way": Message(
        "{folder} holds other files of these names: {files}",
        "Choose another folder for the project, or have them replaced; the old ones are kept.",
    ),
    "folder_unreadable": Message(
        "The folder cannot be read: {reason}", "Choose another one, or have it opened to you."
    ),
    "gpu_gone": Message(
        "The GPU that was chosen before, {uuid}, is not there now, or cannot be used.",
        "{instead} is taken instead. Choose again where that is not what you want.",
    ),
    "gpu_not_there": Message(
        "The GPU {uuid} cannot be used now: {reason}", "Choose another one at the step Hardware, or mend that first."
    ),
    "helper_died": Message(
        "Looking into {what} ended without a word ({how}).", "Try again; the system may be out of memory."
    ),
    "open_no_project": Message(
        "{path} is neither a project's config.yaml nor a training config.", "Choose the folder of a project."
    ),
    "open_no_training": Message("{path} trains nothing, so there is nothing to ask about it.", "Run it as it is."),
    "open_data_gone": Message(
        "The file that the data came from is not there any more: {path}", "The rows that were converted are used."
    ),
    "open_no_data": Message("The data that {path} names was not found here.", "Choose it at the step Data."),
    "open_lost": Message(
        "The wizard does not ask for these of {path}: {keys}",
        "Start writes the project without them. To run the file as it is: sft-wizard --replay FILE",
    ),
    "rows_unusable": Message("With these columns none of the rows can be used.", "Choose others under the rare ones."),
    "nobody_to_ask": Message(
        "There is no terminal to ask questions on.",
        "Run a config instead: sft-wizard --replay config.yaml. sft-wizard new DIR writes one without asking.",
    ),
}
