"""What the screens are made of. Text of foreign origin reaches a widget through `plain`, never as markup."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from engine.text import clean
from tui.wrapping import fit, pad, wrap

__all__ = ["Words", "fit", "pad", "plain"]


def plain(text: object) -> Content:
    """Text for a widget: nothing in it is markup, and no control character reaches the terminal."""
    return Content(clean(text).replace("\t", "    "))


class Words(Widget):
    """Text that is drawn anew only when it has changed, and takes no room while it is empty."""

    DEFAULT_CSS = "Words { height: auto; }"

    def __init__(self, text: object = "", *, id: str | None = None, classes: str | None = None):  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.text = clean(text).replace("\t", "    ")
        self.display = bool(self.text)

    def show(self, text: object) -> None:
        """Show other words."""
        words = clean(text).replace("\t", "    ")
        if words != self.text:
            self.text = words
            self.display = bool(words)
            self.refresh(layout=True)

    def lines(self, cells: int) -> list[str]:
        """The text in lines of this width, or its own lines cut where they are not to be wrapped."""
        if self.styles.text_wrap == "nowrap":
            return [fit(line, cells) if cell_len(line) > cells else line for line in self.text.split("\n")]
        return wrap(self.text, cells)

    def render(self) -> Content:
        """The text: nothing in it is markup."""
        return Content("\n".join(self.lines(self.content_size.width)))

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Of the longest line."""
        return max(cell_len(line) for line in self.text.split("\n"))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Lines at this width."""
        return len(self.lines(width))
