"""Which model learns: what there is to know of it in two columns, and its download beside everything else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from engine.wizard import fetching
from engine.wizard.asks.model import confirm
from engine.wizard.model_facts import ASK, fits_line, traits
from engine.wizard.questions import Choice
from tui.screens.choosing import ChoiceScreen
from tui.widgets import Words, pad
from tui.widgets.field import Field
from tui.words import _, say
from tui.wrapping import wrap

GAP = 2  # between two columns
NARROWEST = 12  # cells of a value, whatever the window


class Traits(Words):
    """Names and values in columns, whether it fits under them."""

    def __init__(self) -> None:
        super().__init__(id="traits")
        self.pairs: list[tuple[str, str]] = []
        self.below = ""

    def show_traits(self, pairs: Sequence[tuple[str, str]], below: str) -> None:
        """Of another model."""
        self.pairs, self.below = list(pairs), below
        self.show("\n".join([*(f"{name} {value}" for name, value in pairs), below]).strip())

    def lines(self, cells: int) -> list[str]:
        """As drawn at this width."""
        return [*columns(self.pairs, cells), *(wrap(self.below, cells) if self.below else [])]


def columns(pairs: Sequence[tuple[str, str]], cells: int) -> list[str]:
    """Two pairs on a line where they have room, else one; a long value goes on under itself."""
    if len(pairs) < 2:
        return _column(pairs, cells)
    left, right = (_column(half, cells) for half in (pairs[::2], pairs[1::2]))
    widest, rest = (max(cell_len(line) for line in half) for half in (left, right))
    if widest + GAP + rest > cells or len(left) > (len(pairs) + 1) // 2:
        return _column(pairs, cells)
    return [
        f"{set_cell_size(first, widest + GAP)}{second}".rstrip()
        for first, second in zip_longest(left, right, fillvalue="")
    ]


def _column(pairs: Sequence[tuple[str, str]], cells: int) -> list[str]:
    names = max((cell_len(name) for name, _value in pairs), default=0) + 1
    lines = []
    for name, value in pairs:
        first, *more = wrap(value, max(cells - names, NARROWEST)) or [""]
        lines += [pad(name, names) + first, *(" " * names + line for line in more)]
    return lines


class ModelScreen(ChoiceScreen):
    """`d` downloads the chosen model, Esc or another choice stops that; the hub is asked after Enter or `d`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("d", "download", show=False)]

    def body(self) -> ComposeResult:
        """As every choice has it, with the columns in the place of sentences."""
        for widget in super().body():
            yield Traits() if widget.id == "about" else widget

    def show_about(self) -> None:
        """The columns, or what there is to do first; a problem has their place."""
        wizard = self.wizard_app.wizard
        if self.problems():
            self.query_one(Traits).show_traits([], "")
            return
        pairs = [(say(name), say(value)) for name, value in traits(wizard)]
        fits = fits_line(wizard) if pairs else ASK if wizard.found("model") else None
        self.query_one(Traits).show_traits(pairs, say(fits) if fits else "")

    def note(self, choice: Choice) -> str:
        """Without what the columns tell; a problem needs the room."""
        known = bool(traits(self.wizard_app.wizard)) and self.typed is None
        return self.why(choice) if known and not self.problems() else super().note(choice)

    def hints(self) -> Sequence[tuple[str, str]]:
        """What Esc and `d` do now."""
        downloads, wizard = self.wizard_app.downloads, self.wizard_app.wizard
        found = super().hints()
        if self.typing:
            return found
        first, _back, *others = found
        if downloads.running and downloads.running == wizard.model():
            return [first, ("Esc", _("stop the download")), *others]
        fetch = [("d", _("download now"))] if fetching.wanted(wizard) else []
        return [first, ("Esc", _("back")), *fetch, *others]

    def accept(self) -> None:
        """Enter: this one is meant, so the hub may be asked for it, and another one is no longer fetched."""
        downloads, wizard = self.wizard_app.downloads, self.wizard_app.wizard
        confirm(wizard)
        if downloads.running and downloads.running != wizard.model():
            downloads.stop()
        super().accept()

    def action_download(self) -> None:
        """Fetch it, once the hub has said that it may be had."""
        wizard = self.wizard_app.wizard
        if wizard.problems(self.step):
            wizard.forget_refusals()
        confirm(wizard)
        if wizard.needs(self.step):
            self.wizard_app.find(self.step, self._download)
        else:
            self._download()
        self.refresh_body()

    def _download(self) -> None:
        wizard = self.wizard_app.wizard
        if not wizard.problems(self.step) and (name := fetching.wanted(wizard)):
            self.wizard_app.downloads.begin(name)
        if self.is_active:
            self.refresh_body()

    def action_back(self) -> None:
        """Esc: out of the line, then the download, then the step before. A name that was only typed asks nobody."""
        downloads, wizard, field = self.wizard_app.downloads, self.wizard_app.wizard, self.query_one(Field)
        if not field.has_focus and downloads.running and downloads.running == wizard.model():
            downloads.stop()
            self.refresh_body()
        else:
            super().action_back()
