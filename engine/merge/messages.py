"""English words for the problems of this room."""

from __future__ import annotations

from engine.messages import Message

MESSAGES: dict[str, Message] = {}
