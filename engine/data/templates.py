"""Named chat templates: what stands around each turn, and what that asks of the tokenizer.

The names that other modules use, from where they are made. `None` stands for `auto` everywhere: the chat template that
the tokenizer carries. Elements follow LLaMA-Factory: each one is tokenised on its own.
"""

from engine.data.rendering import prompt_turns, render_text, training_turns
from engine.data.template_files import AUTO, load_template, shipped, template_sha256
from engine.data.template_slots import CONTENT, Element, Slot, Special, Template, Token
from engine.data.token_ids import element_text, encode_texts, encode_turns, encode_with_starts
from engine.data.tokenizer_setup import prepare_tokenizer, read_new_special_tokens, stop_token_ids

__all__ = [
    "AUTO",
    "CONTENT",
    "Element",
    "Slot",
    "Special",
    "Template",
    "Token",
    "element_text",
    "encode_texts",
    "encode_turns",
    "encode_with_starts",
    "load_template",
    "prepare_tokenizer",
    "prompt_turns",
    "read_new_special_tokens",
    "render_text",
    "shipped",
    "stop_token_ids",
    "template_sha256",
    "training_turns",
]
