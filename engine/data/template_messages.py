"""English words for the problems of templates, tools and the tokenizer."""

from __future__ import annotations

from engine.messages import Message

TEMPLATE_MESSAGES: dict[str, Message] = {
    "unknown_template": Message("there is no template {template}", "use one of: {shipped}"),
    "unknown_template_near": Message(
        "there is no template {template}; did you mean: {nearest}?", "templates here: {shipped}"
    ),
    "template_ambiguous": Message("template {template} does not exist: {candidates}?", "templates here: {shipped}"),
    "template_for_media": Message(
        "template {template} is for models that read images or sound, and sft-wizard trains on text only",
        "for a text model, use template: auto (the model's own chat template) or the template of its family",
    ),
    "template_removed": Message(
        "template {template} is one that LLaMA-Factory 0.9.5 no longer has, and it is not here either",
        "{nearest} comes nearest, but writes other tokens; use template: auto where the model has a chat template",
    ),
    "template_needs_new_tokens": Message(
        "template {template} needs {tokens}, which this tokenizer does not have",
        "choose the template that the model was trained with; with this tokenizer these work: {usable}. To teach the"
        " model new tokens, set resize_vocab: true",
    ),
    "template_needs_markers": Message(
        "template {template} needs {tokens} as tokens of their own, which this tokenizer does not have",
        "choose the template that the model was trained with, or add them: add_special_tokens: {list}",
    ),
    "unknown_tool_format": Message("there is no tool_format {tool_format}", "use one of: {known}"),
    "tool_format_end": Message(
        "with tool_format {tool_format} a tool call no longer ends as template {template} ends answers, but with the"
        " end-of-text token alone (as in LLaMA-Factory)",
        "leave tool_format out to use the template's own",
    ),
    "tools_unreadable": Message(
        "{rows} rows were left out because their tools or tool calls cannot be read (first: {first}): {reason}",
        'tools are a JSON list of functions, a tool call is JSON with "name" and "arguments"',
    ),
    "tokens_added": Message("{count} tokens were added to the vocabulary: {tokens}"),
    "special_tokens_file": Message(
        "{file} cannot be used: {reason}", "it must be a YAML file with a line TOKEN: DESCRIPTION for each token"
    ),
    "tokenizer_without_eos": Message(
        "the tokenizer names no end-of-text token, so the model could never learn to stop",
        "set eos_token in the model's tokenizer_config.json",
    ),
    "no_chat_template": Message(
        "template auto needs a chat template, and this tokenizer has none (usual for a base model)",
        "name a template instead, one of: {shipped}; alpaca and default suit base models",
    ),
    "tokenizer_not_fast": Message(
        "template auto needs a fast tokenizer (tokenizer.json), and this model has none",
        "name a template instead, one of: {shipped}",
    ),
    "eos_replaced": Message("the end-of-text token is now {new} (was {old}), as template {template} ends answers so"),
    "eos_set": Message("the tokenizer names no end-of-text token: {token} is used"),
    "pad_is_eos": Message("the tokenizer names no padding token: {token} is used"),
    "chat_template_refused": Message(
        'the model\'s chat template refused {rows} rows (first: {first}): "{reason}"',
        "if it refuses system prompts, leave them out of the data, or name a template instead of auto",
    ),
    "chat_template_refuses_prompt": Message(
        'the model\'s chat template refused the conversation: "{reason}"',
        "if it refuses system prompts, leave it out",
    ),
    "chat_template_ignores_tools": Message(
        "{rows} rows were left out because the model's chat template leaves out tools and tool calls (first: {first})",
        "name a template instead of auto: the model has not seen tools, so any that fits its tokens will do",
    ),
}
