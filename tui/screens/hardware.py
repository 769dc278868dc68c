"""What this machine has, what is wrong with it, and which of its GPUs the run takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from engine.errors import Problem
from engine.hardware import Gpu
from engine.hardware.users import is_busy
from engine.wizard import checkup, device
from engine.wizard.asks.hardware import memory_line, users_line
from tui.checklines import check_lines
from tui.screens.base import StepScreen
from tui.widgets import Words
from tui.widgets.picker import Picker, Row
from tui.words import _, other_language, say
from tui.wrapping import wrap

MAKER = "NVIDIA "  # of every card; it takes room from what tells them apart


class Checkup(Words):
    """The doctor's list and what follows from it, at any width."""

    def __init__(self, screen: HardwareScreen):
        super().__init__(id="checks")
        self.of = screen

    def lines(self, cells: int) -> list[str]:
        """As drawn at this width; `text` only tells whether something has changed."""
        return self.of.told(cells)


class HardwareScreen(StepScreen):
    """Where there are several GPUs, moving to one is choosing it; Enter goes on. `r` looks again."""

    step = "hardware"
    AUTO_FOCUS = ""  # a list that has nothing to choose from would keep the keys
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "look_again", show=False),
        Binding("up", "scroll_lines(-1)", show=False),
        Binding("down", "scroll_lines(1)", show=False),
    ]

    def body(self) -> ComposeResult:
        """The cards to choose from, and what the doctor says."""
        yield Words(id="asked")
        cards = Picker(whole_values=True, numbers=False, id="cards")
        cards.display = False  # and takes no keys, until there is something to choose
        yield cards
        yield Words(id="note")
        yield Checkup(self)

    @property
    def cards(self) -> list[Gpu]:
        """Those to choose from, as the question lists them; none where there is nothing to choose."""
        asked = self.wizard_app.wizard.questions(self.step)
        machine = self.wizard_app.wizard.found("hardware")
        if not asked or machine is None:
            return []
        by_id = {gpu.uuid: gpu for gpu in machine.hardware.gpus}
        return [by_id[choice.value] for choice in asked[0].choices(self.wizard_app.wizard)]

    def refresh_body(self) -> None:
        """The facts that are known."""
        super().refresh_body()
        cards, picker = self.cards, self.query_one("#cards", Picker)
        picker.display = bool(cards)
        self.query_one("#asked", Words).show(_("The run takes this GPU:") if cards else "")
        taken = device.chosen(self.wizard_app.wizard)
        if cards and taken is not None:
            picker.show([self._row(gpu) for gpu in cards], taken.uuid)
            self.query_one("#note", Words).show(_note(taken))
        if cards and self.focused is None:
            picker.focus()
        self.query_one(Checkup).show("\n".join(self.told(self.query_one("#body").content_size.width)))

    def told(self, cells: int) -> list[str]:
        """What a machine without a GPU means, then the checks in columns."""
        wizard = self.wizard_app.wizard
        found = checkup.checks(wizard)
        if self.cards:
            found = checkup.cards_apart(found)
        machine = wizard.found("hardware")
        means = checkup.advice(machine.hardware) if machine else []
        advice = [line for phrase in means for line in wrap(say(phrase), cells)]
        lines = [f"{line.word}{line.rest}" for line in check_lines(found, cells)]
        return [*advice, *([""] if lines and advice else []), *lines]

    def problems(self) -> Sequence[Problem]:
        """A card that is gone keeps nobody from going on."""
        return self.wizard_app.wizard.notes(self.step)

    def hints(self) -> Sequence[tuple[str, str]]:
        """The other language is offered in its own name."""
        return [("Enter", _("go on")), ("Esc", _("back")), ("r", _("look again")), ("l", other_language())]

    def action_look_again(self) -> None:
        """After something was mended, or to see who is on the cards now."""
        device.forget(self.wizard_app.wizard)
        self.wizard_app.find(self.step)
        self.refresh_body()

    def action_scroll_lines(self, lines: int) -> None:
        """What is longer than the screen, where no list has the keys."""
        self.query_one("#body").scroll_relative(y=lines, animate=False)

    @on(Picker.Moved, "#cards")
    def _moved(self, message: Picker.Moved) -> None:
        self.wizard_app.wizard.answer("gpu", message.key)
        self.refresh_body()

    @on(Picker.Picked, "#cards")
    def _picked(self, message: Picker.Picked) -> None:
        self.wizard_app.wizard.answer("gpu", message.key)  # from now on it is this one, whatever is free later
        self.accept()

    def _row(self, gpu: Gpu) -> Row:
        best = self.wizard_app.wizard.default("gpu").value
        marks = [_("recommended")] if gpu.uuid == best else []
        marks += [_("in use")] if is_busy(gpu) else []
        label = _("GPU {index}: {memory}").format(index=gpu.label, memory=say(memory_line(gpu)))
        return Row(gpu.uuid, label, gpu.name.removeprefix(MAKER), _(", ").join(marks))


def _note(gpu: Gpu) -> str:
    """The card by its full name, and who is on it."""
    busy = say(users_line(gpu)) if is_busy(gpu) else ""
    return _(", ").join(filter(None, (_("GPU {index}: {name}").format(index=gpu.label, name=gpu.name), busy)))
