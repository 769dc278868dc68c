"""English words for what a look at the data before training finds."""

from __future__ import annotations

from engine.messages import Message

REVIEW_MESSAGES: dict[str, Message] = {
    "end_mark_not_written": Message(
        "template {template} writes no end mark after answers: none of the {rows} rows teaches the model to stop"
        " (it stops at {marks})",
        "choose a template that ends answers (alpaca and default do for any model), or write {marks} at the end of"
        " every answer in the data; --force trains as it is",
    ),
    "end_mark_cut": Message(
        "cutoff_len {cutoff_len} cuts the end mark off every answer: none of the {rows} rows teaches the model to stop"
        " (it stops at {marks})",
        "raise cutoff_len to {longest}, which keeps every row whole, or set drop_long: true; --force trains as it is",
    ),
    "end_mark_masked": Message(
        "the model's chat template leaves the end mark out of what is learnt: none of the {rows} rows teaches the model"
        " to stop (it stops at {marks})",
        "name a template instead of auto; --force trains as it is",
    ),
    "ids_beyond_embedding": Message(
        "the data holds token {largest}, and the model knows tokens 0 to {last} only",
        "set resize_vocab: true, which makes room for added tokens, or use the tokenizer that belongs to the model",
    ),
    "rows_repeated": Message(
        "{duplicates} of {rows} rows repeat an earlier one; the most frequent stands there {times} times: {repeated}",
        "delete repeated rows, unless they are meant to count more",
    ),
    "answers_empty": Message(
        "{answers} answers are empty: they teach the model to say nothing", "delete these rows if that is not meant"
    ),
    "template_differs": Message(
        "template {template} does not write as the model's own chat template does. First difference: {named}, where the"
        " model's own has {own}",
        "template: auto writes as the model was trained; a base model that was trained on neither can learn either",
    ),
    "check_needs_training": Message(
        "there is no training in this file, so there is no data to check",
        "Give a train config, or a project's config.yaml with a train part.",
    ),
}
