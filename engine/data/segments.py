"""Conversations to (source, target) pairs of token ids: what the model reads, and what it learns to write.

The names that other modules use, from where they are made.
"""

from engine.data.auto_segments import AutoSegmenter, chat_messages, chat_tools, render_chat, require_chat_template
from engine.data.named_segments import NamedSegmenter
from engine.data.pairs import Pair, Segmenter, Segments

__all__ = [
    "AutoSegmenter",
    "NamedSegmenter",
    "Pair",
    "Segmenter",
    "Segments",
    "chat_messages",
    "chat_tools",
    "render_chat",
    "require_chat_template",
]
