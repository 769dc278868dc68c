"""`--ascii`: every glyph of lines, marks and punctuation becomes an ASCII character of the same width."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_LINES = "".join(chr(point) for point in range(0x2500, 0x2580))  # box drawing
_BLOCKS = "".join(chr(point) for point in range(0x2580, 0x25A0))
_MARKS = {"✓": "*", "✗": "x", "·": ".", "…": ".", "×": "x", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"'}
_MARKS |= {"→": ">", "←": "<", "↑": "^", "↓": "v", "≥": ">", "≤": "<", "≈": "~", "≠": "!", "•": "*", "−": "-", "‑": "-"}
_MARKS |= {"‘": "'", "„": '"', "«": '"', "»": '"', "°": " ", "±": "+", "µ": "u", "▲": "^", "▼": "v", "►": ">", "◄": "<"}
_TABLE = str.maketrans(
    {line: "|" if line in "│┃║▏▕┆┇┊┋╎╏╵╷╹╻" else "-" if line in "─━═┄┅┈┉╌╍╴╶╸╺" else "+" for line in _LINES}
    | dict.fromkeys(_BLOCKS, " ")
    | dict.fromkeys("▏▎▍▌▐▕", "|")
    | _MARKS
)


class AsciiFilter(LineFilter):
    """Applied to everything that Textual draws. Words of other scripts stay as they are."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same cells with other characters."""
        return [
            segment if segment.text.isascii() else Segment(segment.text.translate(_TABLE), segment.style)
            for segment in segments
        ]
