"""English words for the problems of presets and estimates."""

from __future__ import annotations

from engine.messages import Message

MESSAGES: dict[str, Message] = {}
