"""English words for the problems of this room."""

from __future__ import annotations

from engine.data.encoding_messages import ENCODING_MESSAGES
from engine.data.reading_messages import READING_MESSAGES
from engine.messages import Message

MESSAGES: dict[str, Message] = {**READING_MESSAGES, **ENCODING_MESSAGES}
