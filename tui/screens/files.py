"""A file or a model's folder to choose, over the step that asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message

from engine.text import clean, one_line
from engine.wizard.browsing import Entry, Listing, Wanted, browse, nearest_folder
from tui.beside import beside
from tui.phases import size_words
from tui.screens.modal import Modal
from tui.widgets import Words
from tui.widgets.footer import Footer, Key
from tui.widgets.picker import Picker, Row
from tui.words import _, problem_text

UP = ".."  # key of the row that leads there; no entry has this name
LONGEST = 200  # characters of a name
TYPED = "/~"  # what a path begins with: it is typed in the step's own line


@dataclass(frozen=True)
class Chosen:
    """What the screen was left with: a path, or else the beginning of one that a person would rather type."""

    path: Path | None = None
    typed: str = ""


class FileList(Picker, inherit_bindings=False):
    """Letters and digits go to the filter, so only these keys are left to move with."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "place(0)", show=False),
        Binding("end", "place(-1)", show=False),
        Binding("enter,right", "pick", show=False),
    ]


class FileScreen(Modal[Chosen | None]):
    """Enter enters a folder and chooses a file or a model; what is typed filters. Ends with None on Esc.

    begin: a folder, or a path whose nearest folder is taken. look: reads a folder, and may take its time.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("left", "up", show=False),
        Binding("backspace", "erase", show=False),
    ]

    @dataclass
    class Read(Message):
        """The look with this number came back."""

        number: int
        listing: Listing

    def __init__(self, title: str, begin: Path, wanted: Wanted, look: Callable[..., Listing] = browse):
        super().__init__()
        self.heading, self.begin, self.wanted, self.look = title, begin, wanted, look
        self.listing = Listing(begin)
        self.filter, self.hidden, self.reading = "", False, False
        self._rows: list[tuple[str, Row]] = []  # (what a filter is compared with, row)
        self._number = 0
        self._onto = ""

    def compose(self) -> ComposeResult:
        """Where, what is there, what is not shown, and the keys."""
        with Vertical(id="pane"):
            yield Words(self.heading, id="pane-title")
            yield Words(id="folder")
            yield FileList(numbers=False, id="files")
            yield Words(id="more")
            yield Footer(pane=True)

    def on_mount(self) -> None:
        """Read the first folder."""
        self.query_one(FileList).focus()
        self.enter(self.begin, self.begin.name)

    def enter(self, folder: Path, onto: str = "") -> None:
        """Show another folder, standing on the row `onto`; what was there stays until it is read."""
        self._number += 1
        self._onto, self.filter, self.reading = onto, "", True
        number, wanted, hidden, look = self._number, self.wanted, self.hidden, self.look
        beside(
            self.post_message,
            lambda: self.Read(number, look(nearest_folder(folder), wanted, hidden=hidden)),
            lambda problems: self.Read(number, Listing(folder, problem=problems[0])),
        )
        self.set_timer(0.2, self._draw)  # a quick disk needs no words

    @on(Read)
    def _read(self, message: Read) -> None:
        if message.number != self._number:  # another folder was asked for since
            return
        self.listing, self.reading = message.listing, False
        self._rows = [(entry.name.casefold(), row_of(entry)) for entry in message.listing.entries]
        self._draw(self._onto or None)

    def _draw(self, onto: str | None = None) -> None:
        """What passes the filter, names that begin with it first; the cursor goes `onto` a row, or stays."""
        if not self.query("#files"):  # left meanwhile
            return
        folder = self.listing.folder
        up = [] if self.filter or folder.parent == folder else [Row(UP, _("../"), _("one up"))]
        typed = self.filter.casefold()
        found = [(name, row) for name, row in self._rows if typed in name]
        rows = [row for _name, row in sorted(found, key=lambda one: not one[0].startswith(typed))]
        first = rows[0].key if rows else UP
        files = self.query_one(FileList)
        keys = {row.key for row in rows}
        files.show([*up, *rows], onto if onto in keys else files.key if files.key in keys else first)
        self.query_one("#folder", Words).show(ending(clean(folder), self.size.width - 2))
        self.query_one("#more", Words).show("\n".join(self._words(len(rows))))
        self.query_one(Footer).show_keys(self.keys())

    def _words(self, shown: int) -> list[str]:
        """What is filtered, what is not shown, and why."""
        found = self.listing
        if self.reading:
            return [_("Reading the folder …")]
        if found.problem is not None:
            return [_("! {problem}").format(problem=problem_text(found.problem))]
        lines = []
        if self.filter:
            told = {"filter": self.filter, "shown": shown, "all": len(found.entries)}
            lines.append(_("names with {filter}: {shown} of {all}").format(**told))
        elif not found.entries:
            lines.append(_("Nothing here can be used."))
        kinds = _(", ").join(suffix.removeprefix(".") for suffix in self.wanted.suffixes)
        others = found.others if kinds else 0
        left_out = [
            _("{count} hidden").format(count=found.hidden) if found.hidden else "",
            _("{count} folders with nothing to choose").format(count=found.empty) if found.empty else "",
            _("{count} that are none of {kinds}").format(count=others, kinds=kinds) if others else "",
        ]
        if any(left_out):
            lines.append(_("not shown: {what}").format(what=_(", ").join(filter(None, left_out))))
        if (entry := self._entry()) and entry.reason:
            lines.append(_("! {name}: {reason}").format(name=one_line(entry.name, LONGEST), reason=clean(entry.reason)))
        return lines

    def keys(self) -> Sequence[Key]:
        """What the keys do."""
        entry = self._entry()
        take = _("choose") if entry and entry.kind != "folder" else _("open")
        back = _("all names") if self.filter else _("cancel")
        keys = [
            ("Enter", take),
            ("←", _("one up")),
            (_("letters"), _("filter")),
            (".", _("hidden")),
            ("/", _("type it")),
        ]
        return [*keys, ("Esc", back)]

    def on_key(self, event: events.Key) -> None:
        """What is typed filters; a dot with no filter shows hidden names, a slash begins a path."""
        if event.character is None or not event.is_printable:
            return
        event.stop()
        event.prevent_default()
        if not self.filter and event.character in TYPED:
            self.dismiss(Chosen(typed=event.character))
        elif not self.filter and event.character == ".":
            self.hidden = not self.hidden
            self.enter(self.listing.folder, str(self.query_one(FileList).key or ""))
        else:
            self._narrow(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """A path that is pasted is typed."""
        event.stop()
        text = one_line(event.text)
        if text.startswith(tuple(TYPED)):
            self.dismiss(Chosen(typed=text))
        elif text:
            self._narrow(text)

    def _narrow(self, typed: str) -> None:
        """More of a filter: the cursor goes to what fits it best."""
        self.filter += typed
        self.query_one(FileList).show([])
        self._draw()

    def action_erase(self) -> None:
        """Backspace: the last letter of the filter, else one folder up."""
        if self.filter:
            self.filter = self.filter[:-1]
            self._draw()
        else:
            self.action_up()

    def action_up(self) -> None:
        """To the folder above, standing on the one that was left."""
        folder = self.listing.folder
        if folder.parent != folder:
            self.enter(folder.parent, folder.name)

    def action_leave(self) -> None:
        """Esc: the filter first, then the screen."""
        if self.filter:
            self.filter = ""
            self._draw()
        else:
            self.dismiss(None)

    @on(Picker.Moved)
    def _moved(self) -> None:
        self._draw()

    @on(Picker.Picked)
    def _picked(self, message: Picker.Picked) -> None:
        entry = self._entry()
        if self.reading:
            return
        if message.key == UP:
            self.action_up()
        elif entry and entry.kind == "folder":
            if not entry.reason:
                self.enter(self.listing.folder / entry.name)
        elif entry:
            self.dismiss(Chosen(self.listing.folder / entry.name))

    def _entry(self) -> Entry | None:
        key: Any = self.query_one(FileList).key
        return next((entry for entry in self.listing.entries if entry.name == key), None)


def row_of(entry: Entry) -> Row:
    """A line: folders end in a slash, and tell what they hold; files and models tell their size."""
    name = one_line(entry.name, LONGEST)
    if entry.kind == "file":
        return Row(entry.name, name, size_words(entry.size or 0))
    if entry.kind == "model":
        return Row(entry.name, f"{name}/", _("model, {size}").format(size=size_words(entry.size or 0)))
    if entry.reason:
        return Row(entry.name, f"{name}/", _("no access"))
    held = _("more than {count} files") if entry.more else _("{count} files")
    return Row(entry.name, f"{name}/", held.format(count=entry.held) if entry.held else "")


def ending(text: str, cells: int) -> str:
    """The end of a path that is too long for a line."""
    if cell_len(text) <= cells:
        return text
    while text and cell_len(text) > cells - 1:
        text = text[1:]
    return "…" + text
