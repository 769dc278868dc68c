"""A list of one-line rows to move in and pick from. Only keys and clicks make it post messages."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.widgets import pad

MOST_NUMBERED = 9
GAP = 2
HEADING = "──"


@dataclass(frozen=True)
class Row:
    """`key` tells rows apart. mark: a word at the end, such as `recommended`. aside: the label in other words, shown

    where there is room for those of all rows. heading: stands over the rows below and is never the current one.
    """

    key: Hashable
    label: str
    value: str = ""
    mark: str = ""
    aside: str = ""
    heading: bool = False


class Picker(ScrollView, can_focus=True):
    """`>` stands before the row that Enter takes. Values that would have to be cut are left out with `whole_values`.

    digits: the first nine rows have one, even where there are more. numbers: False leaves them all without.
    """

    DEFAULT_CSS = """
    Picker { height: auto; overflow-x: hidden; scrollbar-size-vertical: 1; }
    Picker > .picker--here { text-style: reverse; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"picker--here"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "place(0)", show=False),
        Binding("end", "place(-1)", show=False),
        Binding("enter", "pick", show=False),
        *(Binding(str(digit), f"number({digit})", show=False) for digit in range(1, MOST_NUMBERED + 1)),
    ]

    @dataclass
    class Moved(Message):
        """Another row is the current one."""

        picker: Picker
        key: Any

        @property
        def control(self) -> Picker:
            """For @on."""
            return self.picker

    @dataclass
    class Picked(Moved):
        """Enter on a row."""

    def __init__(
        self,
        rows: Sequence[Row] = (),
        *,
        whole_values: bool = False,
        digits: bool = False,
        numbers: bool = True,
        id: str | None = None,  # noqa: A002
    ):
        super().__init__(id=id)
        self.rows: list[Row] = list(rows)
        self.place = 0
        self.whole_values, self.digits, self.numbers = whole_values, digits, numbers
        self._widths = _widths(self.rows)

    @property
    def key(self) -> Any:
        """Of the current row; None in an empty list."""
        return self.rows[self.place].key if self.rows else None

    def show(self, rows: Sequence[Row], key: Hashable | None = None) -> None:
        """Other rows; `key` (default: the current one) is the current row where it is among them."""
        key = self.key if key is None else key
        keys = [row.key for row in rows]
        place = keys.index(key) if key in keys else min(self.place, max(len(rows) - 1, 0))
        place = _no_heading(rows, place, 1)
        if list(rows) == self.rows and place == self.place:
            return
        grown = len(rows) != len(self.rows)
        self.rows, self.place, self._widths = list(rows), place, _widths(rows)
        self.virtual_size = Size(self.size.width, len(rows))
        self.refresh(layout=grown)
        self._follow()

    def move_to(self, key: Hashable) -> None:
        """Make another row the current one."""
        self.show(self.rows, key)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A line a row."""
        return max(len(self.rows), 1)

    def render_line(self, y: int) -> Strip:
        """One row; the current one is reversed while keys go here."""
        place, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        if place >= len(self.rows):
            return Strip.blank(width, self.rich_style)
        here = place == self.place
        style = self.rich_style
        if here and self.has_focus:
            style += self.get_component_rich_style("picker--here", partial=True)
        return Strip([Segment(set_cell_size(self.text(place, width), width), style)], width)

    def text(self, place: int, width: int) -> str:
        """The row as text."""
        row = self.rows[place]
        if row.heading:
            return pad(f"{HEADING} {row.label}", width)
        number = ""
        if self._numbered:
            number = f"{place + 1} " if place < MOST_NUMBERED else "  "
        head = f"{'>' if place == self.place else ' '} {number}"
        labels, values, marks, asides = self._widths
        room = width - cell_len(head) - (marks + GAP if marks else 0)
        if values and not row.value:
            room = width - cell_len(head) - (cell_len(row.mark) + GAP if row.mark else 0)
            return f"{head}{pad(row.label, room)}{' ' * GAP}{row.mark}"
        if asides and labels + asides + values + 2 * GAP <= room:
            label = f"{pad(row.label, labels)}{' ' * GAP}{pad(row.aside, asides)}"
            return f"{head}{label}{' ' * GAP}{pad(row.value, values)}{' ' * GAP}{row.mark}"
        if self.whole_values and labels + GAP + values > room:
            values = 0
        if not values:
            return f"{head}{pad(row.label, min(labels, room))}{' ' * GAP}{row.mark}"
        labels = min(labels, max(room * 3 // 5, room - GAP - values))
        values = min(values, room - labels - GAP)
        return f"{head}{pad(row.label, labels)}{' ' * GAP}{pad(row.value, values)}{' ' * GAP}{row.mark}"

    def action_move(self, by: int) -> None:
        """Up and down."""
        self._go(self.place + by)

    def action_page(self, by: int) -> None:
        """As many rows as are seen."""
        self._go(self.place + by * max(self.size.height - 1, 1))

    def action_place(self, place: int) -> None:
        """The first or the last row."""
        self._go(place % max(len(self.rows), 1))

    def action_number(self, number: int) -> None:
        """A digit: one of the first rows."""
        if number <= len(self.rows) and self._numbered:
            self._go(number - 1)

    def action_pick(self) -> None:
        """Enter."""
        if self.rows:
            self.post_message(self.Picked(self, self.key))

    @property
    def _numbered(self) -> bool:
        few = self.digits or len(self.rows) <= MOST_NUMBERED
        return self.numbers and few and not any(row.heading for row in self.rows[:MOST_NUMBERED])

    def on_click(self, event: events.Click) -> None:
        """A click moves; Enter picks."""
        self._go(event.y + self.scroll_offset.y)

    def cursor_at(self) -> Offset:
        """Where the terminal's cursor stands: at the current row."""
        region = self.content_region
        return Offset(region.x, region.y + self.place - self.scroll_offset.y)

    def _go(self, place: int) -> None:
        place = min(max(place, 0), len(self.rows) - 1)
        place = _no_heading(self.rows, place, 1 if place >= self.place else -1)
        if place != self.place and self.rows:
            self.place = place
            self.refresh()
            self._follow()
            self.post_message(self.Moved(self, self.key))

    def _follow(self) -> None:
        """Keep the current row in sight."""
        top, height = self.scroll_offset.y, self.size.height
        above = self.place - 1 if self.place and self.rows[self.place - 1].heading else self.place
        if height > 1 and above < top <= self.place:
            self.scroll_to(y=above, animate=False, immediate=True)  # its heading is seen too
        elif height and not top <= self.place < top + height:
            y = above if self.place < top else self.place - height + 1
            self.scroll_to(y=y, animate=False, immediate=True)

    def on_resize(self) -> None:
        """The current row stays in sight, with all that stand before it where there is room."""
        self.virtual_size = Size(self.size.width, len(self.rows))
        if self.place < self.size.height:
            self.scroll_to(y=0, animate=False, immediate=True)
        self._follow()


def _widths(rows: Sequence[Row]) -> tuple[int, int, int, int]:
    """Cells of the longest label, value, mark and aside: measured once, since there may be thousands of rows."""
    shown = [row for row in rows if not row.heading]
    shown = [row for row in shown if row.value] or shown  # one without a value has the line to itself
    label, value, mark, aside = (
        max((cell_len(getattr(row, part)) for row in shown), default=0) for part in ("label", "value", "mark", "aside")
    )
    return label, value, mark, aside


def _no_heading(rows: Sequence[Row], place: int, way: int) -> int:
    """The nearest place of a row that is no heading, first looked for in a direction."""
    if not rows or not rows[place].heading:
        return place
    places = [at for at, row in enumerate(rows) if not row.heading]
    ahead = [at for at in places if (at - place) * way >= 0]
    return min(ahead or places, key=lambda at: abs(at - place)) if places else place
