"""How the talk is led: over the talk, Enter changes a row, Esc goes back to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from engine.chat.options import OPTIONS, ChatOptions, change, shown
from engine.errors import ProblemError
from tui.screens.modal import Modal
from tui.widgets import Words
from tui.widgets.field import Field
from tui.widgets.footer import Footer
from tui.widgets.picker import Picker, Row
from tui.words import _, problem_text, say

BACK, VOICES, PROCESSOR, FORGET = "back", "voices", "processor", "forget"


@dataclass(frozen=True)
class Settled:
    """What was chosen. both: whether both voices answer. forget: what was said so far."""

    options: ChatOptions
    both: bool
    forget: bool = False


class ChatSettings(Modal[Settled]):
    """both: None where one voice is all there is. gpu: whether there is one to be left idle. said: anything yet."""

    DEFAULT_CSS = """
    ChatSettings { align: center middle; background: $background; }
    ChatSettings #typed { display: none; }
    ChatSettings #rows { margin: 1 0; max-height: 8; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, options: ChatOptions, *, both: bool | None, gpu: bool, said: bool):
        super().__init__()
        self.options, self.both, self.gpu, self.said = options, both, gpu, said
        self.editing = ""

    def compose(self) -> ComposeResult:
        """Rows, what the current one does, and where it is typed."""
        with Vertical(id="dialog"):
            yield Words(_("How the talk is led"), id="pane-title")
            yield Picker(id="rows")
            yield Words(id="why")
            yield Field(id="typed")
            yield Words(id="refused")
            yield Footer(pane=True)

    def on_mount(self) -> None:
        """The first row goes back: nothing has to be changed."""
        self.query_one(Picker).focus()
        self._draw()

    def action_leave(self) -> None:
        """Esc leaves the line as it was, then the dialog."""
        if self.editing:
            self._edit("")
        else:
            self.dismiss(Settled(self.options, self.both is not False))

    @on(Picker.Moved)
    def _moved(self) -> None:
        self._draw()

    @on(Picker.Picked)
    def _picked(self, message: Picker.Picked) -> None:
        if message.key == BACK:
            self.action_leave()
        elif message.key == FORGET:
            self.dismiss(Settled(self.options, self.both is not False, forget=True))
        elif message.key == VOICES:
            self.both = not self.both
            self._draw()
        elif message.key == PROCESSOR:
            self.options = replace(self.options, processor=not self.options.processor)
            self._draw()
        else:
            self._edit(str(message.key))

    @on(Input.Submitted)
    def _typed(self, message: Input.Submitted) -> None:
        message.stop()
        try:
            self.options = change(self.options, self.editing, message.value)
        except ProblemError as error:
            self.query_one("#refused", Words).show(problem_text(error.problems[0]))
        else:
            self._edit("")

    def _edit(self, name: str) -> None:
        self.editing = name
        field = self.query_one(Field)
        field.display = bool(name)
        self.query_one("#refused", Words).show("")
        if name:
            value = getattr(self.options, name)
            field.fill(f"{value:g}" if isinstance(value, float) else str(value))
            field.focus()
        else:
            self.query_one(Picker).focus()
        self._draw()

    def _draw(self) -> None:
        rows = [Row(BACK, _("Back to the talk"))]
        if self.both is not None:
            rows.append(Row(VOICES, _("Who answers"), _("tuned and base") if self.both else _("tuned only")))
        rows += [Row(option.name, say(option.label), say(shown(self.options, option.name))) for option in OPTIONS]
        if self.gpu:
            on = _("the processor") if self.options.processor else _("the GPU")
            rows.append(Row(PROCESSOR, _("Runs on"), on))
        if self.said:
            rows.append(Row(FORGET, _("Forget what was said"), "Ctrl+L"))
        picker = self.query_one(Picker)
        picker.show(rows)
        whys = {option.name: say(option.why) for option in OPTIONS}
        whys[VOICES] = _("One voice takes half the time; each remembers what it said itself.")
        whys[PROCESSOR] = _("Slower, but it has more memory. The model is loaded anew.")
        whys[FORGET] = _("The next question is the first again; a file that was saved stays.")
        self.query_one("#why", Words).show(whys.get(str(picker.key), ""))
        editing = bool(self.editing)
        keys = [("Enter", _("take it") if editing else _("change"))]
        keys.append(("Esc", _("leave it as it was") if editing else _("back to the talk")))
        self.query_one(Footer).show_keys(keys)
