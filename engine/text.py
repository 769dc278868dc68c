"""The one gate that text of foreign origin passes on its way to a person."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

Translate = Callable[[str], str]  # an English source string to the person's language

# C0 (but tab and newline), DEL, C1; zero-width and bidi controls; line/paragraph separators; tags; lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)


def clean(text: object, limit: int | None = None) -> str:
    """`text` with control, bidi and zero-width characters made visible as escapes, cut to `limit` characters."""
    whole = str(text).replace("\r\n", "\n")
    if limit is not None:
        whole = whole[: limit + 1]  # an escape is never shorter: what is cut off below need not be looked at
    shown = _UNSAFE.sub(_escape, whole)
    if limit is not None and len(shown) > limit:
        shown = shown[: limit - 1] + "…"
    return shown


def one_line(text: object, limit: int | None = None) -> str:
    """`clean` for places that hold a single line: newlines and tabs become spaces."""
    return clean(" ".join(str(text).split()), limit)


def parameter_words(count: int) -> str:
    """A model's parameters as they are spoken of: 135M, 7.6B."""
    return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"


@dataclass(frozen=True)
class Phrase:
    """Words for a person as a value: an English template, which a front end translates, and what fills it.

    `values` may hold phrases themselves. Text of foreign origin goes into `values`, never into `text`.
    """

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def say(self, translate: Translate = str) -> str:
        """The words in a language; every value passes `clean`."""
        filled = {
            name: value.say(translate) if isinstance(value, Phrase) else clean(value)
            for name, value in self.values.items()
        }
        return translate(self.text).format_map(filled) if self.text else ""

    def __str__(self) -> str:
        return self.say()


NOTHING = Phrase("")


def listed(parts: Sequence[Phrase]) -> Phrase:
    """`parts`, at least one, one after the other."""
    return reduce(lambda first, second: Phrase("{first}, {second}", {"first": first, "second": second}), parts)


def verbatim(text: object) -> Phrase:
    """A name, path or other text that is not translated."""
    return Phrase("{text}", {"text": text})


def _escape(match: re.Match[str]) -> str:
    point = ord(match.group())
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
