"""English words for the problems of this room."""

from __future__ import annotations

from engine.data.encoding_messages import ENCODING_MESSAGES
from engine.data.reading_messages import READING_MESSAGES
from engine.data.registry_messages import REGISTRY_MESSAGES
from engine.data.review_messages import REVIEW_MESSAGES
from engine.data.template_messages import TEMPLATE_MESSAGES
from engine.messages import Message

MESSAGES: dict[str, Message] = {
    **READING_MESSAGES,
    **REGISTRY_MESSAGES,
    **ENCODING_MESSAGES,
    **TEMPLATE_MESSAGES,
    **REVIEW_MESSAGES,
    "rows_dropped": Message("{name}: {dropped} of {read} rows are left out. The first of them:"),
    "val_size_takes_all": Message(
        "val_size {val_size} would hold back all of the {rows} rows.", "Hold back fewer, such as 0.05"
    ),
}
