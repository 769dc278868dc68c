"""The keys that do something now, whole ones only."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tui.widgets import Words

MOST_LINES = 2
GAP = "  "

Key = tuple[str, str]  # what is pressed, and what it does in the person's language


class Footer(Words):
    """One line where the keys fit into one, else two. `pane` is that of a dialog or of text to read."""

    def __init__(self, *, pane: bool = False) -> None:
        super().__init__(id="pane-keys" if pane else "keys")
        self.pane = pane
        self.keys: tuple[Key, ...] = ()

    def show_keys(self, keys: Sequence[Key]) -> None:
        """Other keys, the most important first; help and leaving are last, of a pane the way back."""
        self.keys = tuple(keys)
        self.show(GAP.join(_said(keys)))

    def lines(self, cells: int) -> list[str]:
        """At this width."""
        return footer_lines(self.keys, cells, pane=self.pane)


def footer_lines(keys: Sequence[Key], cells: int, *, pane: bool = False) -> list[str]:
    """The keys in at most MOST_LINES lines.

    Where that is too little, leaving goes first and then the keys before help, which tells them all. Of a pane the
    keys before the last go, which is the way back.
    """
    kept = list(keys)
    while len(lines := _laid(kept, cells)) > MOST_LINES and len(kept) > 1:
        del kept[-1 if len(kept) == len(keys) and not pane else -2]
    return lines[:MOST_LINES]


def _laid(keys: Sequence[Key], cells: int) -> list[str]:
    lines: list[str] = []
    for said in _said(keys):
        joined = f"{lines[-1]}{GAP}{said}" if lines else said
        if lines and cell_len(joined) <= cells:
            lines[-1] = joined
        else:
            lines.append(said)
    return lines


def _said(keys: Sequence[Key]) -> list[str]:
    return [f"{key} {words}" for key, words in keys]
