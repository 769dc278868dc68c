"""English words for the problems of tokenising."""

from __future__ import annotations

from engine.messages import Message

ENCODING_MESSAGES: dict[str, Message] = {
    "row_without_answer": Message(
        "{rows} rows were left out because they do not end with an answer (first: {first})",
        "every conversation needs an answer after its last question",
    ),
    "rows_truncated": Message(
        "{truncated} of {kept} rows are longer than cutoff_len {cutoff_len} and lost {tokens_cut} tokens;"
        " {answers_cut} of them lost part of an answer, {end_marks_lost} the mark that ends it",
        "cutoff_len {longest_whole} keeps every row whole, at the cost of memory",
    ),
    "rows_without_labels": Message(
        "{rows} rows have nothing to learn from: no token of an answer is left (first: {first})",
        "raise cutoff_len, or shorten their questions",
    ),
    "answers_rewritten": Message(
        "{answers} answers are not trained on: the model's chat template rewrites them once the conversation goes on",
        "this is usual for reasoning models; name a template instead of auto to train on every answer",
    ),
    "sample_too_long": Message(
        "{rows} rows are longer than cutoff_len {cutoff_len} and were left out, as drop_long says (first: {first})",
        "raise cutoff_len to keep them, or set drop_long: false to cut them",
    ),
    "answers_flagged": Message("{answers} answers are not trained on: their weight or loss in the data says so"),
    "template_without_train_on_prompt": Message(
        "template {template} cannot train on prompts: the first token after each answer is learnt as the"
        " answer's end mark",
        "remove train_on_prompt, or choose another template",
    ),
    "probs_not_numbers": Message(
        "interleave_probs must be a list of numbers, not {given}", "give one number for each dataset: 0.7, 0.3"
    ),
    "tokenized_unreadable": Message(
        "tokenized_path {folder} holds no tokenised data that can be read ({reason})",
        "remove the folder to have the data tokenised anew, or name another one",
    ),
    "preprocess_no_folder": Message(
        "there is no folder to write the tokenised data to", "set tokenized_path, or give one with --out"
    ),
    "tokenized_indices": Message(
        "{folder} holds rows in an order of their own, as old versions of datasets stored them",
        "load and save it once with a newer version of datasets, or tokenise the data anew",
    ),
    "tokenized_columns": Message(
        "the tokenised data in {folder} has no {missing} (its columns: {columns})",
        "it was made for another kind of training; name another folder",
    ),
    "tokenized_other_vocabulary": Message(
        "the data in {folder} was tokenised for another model: token {largest} of a vocabulary of {vocabulary}",
        "name another folder, so that the data is tokenised for this model",
    ),
    "tokenized_for_prompts": Message(
        "{split} in {folder} was tokenised for predict_with_generate: its answers stand apart from the prompts",
        "set predict_with_generate: true, or name another folder",
    ),
    "tokenized_for_training": Message(
        "{split} in {folder} was tokenised without predict_with_generate: prompts and answers are one",
        "remove predict_with_generate, or name another folder",
    ),
    "tokenized_there": Message(
        "{folder} is not empty, so nothing was written",
        "remove it to have the data tokenised anew, or name another folder with --out",
    ),
    "tokenized_differs": Message(
        "the data in {folder} was tokenised with {keys}, and is used as it is", "remove the folder to tokenise it anew"
    ),
    "tokenized_keys_ignored": Message(
        "the data comes tokenised from {folder}: {keys} have no effect", "remove the folder to tokenise it anew"
    ),
    "no_rows": Message("the dataset has no rows", "check the dataset's file and its filters"),
    "no_rows_left": Message("none of the {rows} rows can be trained on", "the reasons follow"),
    "cutoff_leaves_no_answer": Message(
        "cutoff_len {cutoff_len} leaves no answer in any of the {rows} rows (first: {first})",
        "set cutoff_len to at least {at_least}, the length of the shortest row; {longest} keeps every row whole",
    ),
    "all_labels_masked": Message(
        "there is nothing to learn: no answer can be found in any of the {rows} rows (first: {first})",
        "the model's chat template rewrites or hides the answers: name a template instead of auto",
    ),
}
