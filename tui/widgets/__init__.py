"""What the screens are made of. Text of foreign origin reaches a widget through `plain`, never as markup."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.widgets import Static

from engine.text import clean, one_line


def plain(text: object) -> Content:
    """Text for a widget: nothing in it is markup, and no control character reaches the terminal."""
    return Content(clean(text).replace("\t", "    "))


def fit(text: object, cells: int) -> str:
    """One line of at most `cells` cells, with an ellipsis where something was cut."""
    line = one_line(text, 4 * max(cells, 1))
    if cell_len(line) <= cells:
        return line
    return set_cell_size(line, max(cells - 1, 0)).rstrip() + "…" if cells > 0 else ""


def pad(text: str, cells: int) -> str:
    """`text` cut or filled to exactly `cells` cells; a wide character counts two."""
    return set_cell_size(fit(text, cells), max(cells, 0))


class Words(Static):
    """Text that is drawn anew only when it has changed, and takes no room while it is empty."""

    def __init__(self, text: object = "", *, id: str | None = None, classes: str | None = None):  # noqa: A002
        self.text = clean(text)
        super().__init__(plain(text), id=id, classes=classes)
        self.display = bool(self.text)

    def show(self, text: object) -> None:
        """Show other words."""
        words = clean(text)
        if words != self.text:
            self.text = words
            self.display = bool(words)
            self.update(plain(words))
