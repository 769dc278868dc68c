"""The names that people give to the roles of messages, in any of three cases."""

from __future__ import annotations

from typing import Literal

from engine.data.conversation import Role

_ROLE_WORDS: dict[Role | Literal["system"], tuple[str, ...]] = {
    "user": ("user", "human", "prompter"),
    "assistant": ("assistant", "gpt", "bot", "model", "chatbot"),
    "system": ("system", "developer"),
    "observation": ("tool", "observation", "tool_response", "function_response", "function"),
    "function": ("function_call", "tool_call"),
}
ROLES: dict[str, Role | Literal["system"]] = {
    form: role
    for role, words in _ROLE_WORDS.items()
    for word in words
    for form in (word, word.capitalize(), word.upper())
}
