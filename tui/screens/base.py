"""What every step's screen has: title, rail, what is decided here, problems in place, and the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.geometry import Offset
from textual.screen import Screen
from textual.widgets import Input, Static

from engine.errors import Problem
from engine.text import clean
from engine.wizard.steps import step as step_of
from engine.wizard.steps import steps
from tui.fetching import download_words
from tui.report import amount
from tui.widgets import Words, plain
from tui.widgets.footer import Footer
from tui.widgets.form import Form
from tui.widgets.picker import Picker
from tui.widgets.rail import Rail
from tui.words import _, noop, problem_text, say, translate

if TYPE_CHECKING:
    from tui.app import WizardApp

LOOKING = {
    "hardware": noop("Looking at the machine …"),
    "checks": noop("Checking drivers, packages and disks …"),
    "models": noop("Looking for models on this machine …"),
    "model": noop("Looking at the model …"),
    "hub": noop("Asking the hub …"),
    "datasets": noop("Looking for data here …"),
    "data": noop("Reading the data …"),
}
MOST_PROBLEMS = 3  # that are shown at once


class StepScreen(Screen[None]):
    """`step` is the step's id. Subclasses yield their part in `body` and bring it up to date in `refresh_body`."""

    step: str = ""
    tried = False  # whether a person wanted to go on
    help_key = "?"  # F1 where a question mark is typed
    AUTO_FOCUS = "#body *"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False),
        Binding("enter", "accept", show=False),
        Binding("pagedown", "scroll_body(1)", show=False),
        Binding("pageup", "scroll_body(-1)", show=False),
    ]

    @property
    def wizard_app(self) -> WizardApp:
        """The app, by its own type."""
        return cast("WizardApp", self.app)

    @property
    def drawn(self) -> bool:
        """Whether the widgets are there: not before the first message, nor once it is replaced or all closes."""
        return self.app.is_running and self in self.app.screen_stack and bool(self.query("#waiting"))

    @property
    def editing(self) -> bool:
        """Whether a line of a form is being edited."""
        return any(form.editing for form in self.query(Form))

    def compose(self) -> ComposeResult:
        """The frame around `body`."""
        yield Words(self.title_line(), id="title")
        with Horizontal(id="frame"):
            yield Rail()
            with Vertical(id="body"):
                yield Words(self.intro(), id="intro")
                yield from self.body()
                yield Words(id="waiting")
                yield Words(id="problems")
        yield Footer()
        yield Static(plain(too_small()), id="small")

    def body(self) -> ComposeResult:
        """The widgets of this step."""
        yield from ()

    def relabel(self) -> None:
        """The same in another language: what was typed, chosen or opened stays as it is."""
        self.query_one("#intro", Words).show(self.intro())
        self.query_one("#small", Static).update(plain(too_small()))
        self.refresh_body()

    def intro(self) -> str:
        """What is decided here."""
        return say(step_of(self.step).intro) if self.step else ""

    def topic(self) -> str:
        """What `?` explains first: the id of a question or of this step."""
        return self.step

    def failure_page(self) -> str:
        """The name of the page about what has failed here, which `?` shows before all; empty where nothing has."""
        return ""

    def hints(self) -> Sequence[tuple[str, str]]:
        """At most six keys and what they do, in the person's language; `?` and leaving are added."""
        return [("Enter", _("go on")), ("Esc", _("back"))]

    def title_line(self) -> str:
        """Which step this is."""
        if not self.step:
            return "sft-wizard"
        ids = [found.id for found in steps(self.wizard_app.wizard)]
        number = ids.index(self.step) + 1 if self.step in ids else len(ids)
        title = _("sft-wizard · step {number} of {total}: {title}")
        return title.format(number=number, total=len(ids), title=say(step_of(self.step).title))

    def keys(self) -> Sequence[tuple[str, str]]:
        """All that the footer tells of: letters are no keys while something is typed."""
        if self.editing:
            return [("Enter", _("take it")), ("Esc", _("leave it as it was"))]
        typing = isinstance(self.focused, Input)
        looking = typing and any(field.has_focus for field in self.query("#finding"))
        found = [("Enter", _("to what was found")), ("Esc", _("show all again"))] if looking else self.hints()
        return [*found, ("F1" if typing else self.help_key, _("help")), ("Ctrl+Q", _("leave"))]

    def nothing_found(self) -> str:
        """That no row of a form mentions what is looked for."""
        for form in self.query(Form):
            if form.finding and not any(row.key for row in form.query_one("#rows", Picker).rows):
                return _("Nothing mentions {words}.").format(words=clean(form.finding))
        return ""

    def on_mount(self) -> None:
        """Textual calls this one of every class; what each adds in its order is in `arrive`."""
        self.arrive()

    def arrive(self) -> None:
        """Look up what is missing, and draw what is there."""
        if self.step and step_of(self.step).asks:
            self.wizard_app.find(self.step)
        self.refresh_body()

    def refresh_body(self) -> None:
        """Draw what may have changed. Called after every fact, every answer and every look at the run."""
        self.query_one(Rail).refresh_steps(self.wizard_app)
        self.query_one("#title", Words).show(self.title_line())
        self.query_one(Footer).show_keys(self.keys())
        told = "" if self.editing else self.nothing_found() or problem_words(self.problems())
        self.query_one("#problems", Words).show(told)
        self.refresh_waiting()

    def refresh_waiting(self) -> None:
        """What is being looked up, started or downloaded, and for how long or how far."""
        lines = (self.waiting(), download_words(self.wizard_app.downloads.now))
        self.query_one("#waiting", Words).show("\n".join(filter(None, lines)))

    def waiting(self) -> str:
        """In words; empty where nothing is awaited."""
        app = self.wizard_app
        if app.starting:
            start = app.starting
            far = amount(start.done, start.total, "bytes") if start.total else ""
            return " ".join(filter(None, (say(start.what), far, "…")))
        if not self.step or not step_of(self.step).asks:
            return ""
        found = app.lookups.elapsed(app.wizard.needs(self.step))
        if found is None:
            return ""
        request, seconds = found
        words = translate(LOOKING[request.what])
        return _("{what} ({seconds} s)").format(what=words, seconds=seconds) if seconds else words

    def problems(self) -> Sequence[Problem]:
        """What keeps this step from being left, and can be seen already."""
        return ()

    def accept(self) -> None:
        """Go on, now or as soon as what is missing has been found. What failed before is tried again."""
        app = self.wizard_app
        self.tried = True
        if app.wizard.refusals and app.wizard.problems(self.step):
            app.wizard.forget_refusals()
        if app.wizard.needs(self.step):
            app.find(self.step, self.settled)
            self.refresh_body()
        else:
            self.settled()

    def settled(self) -> None:
        """All is known: go on, unless there are problems or something else is on the screen."""
        if self.is_active and not self.wizard_app.wizard.problems(self.step):
            self.wizard_app.forward()
        else:
            self.refresh_body()

    def action_accept(self) -> None:
        """Enter, where no list or field took it."""
        self.accept()

    def action_back(self) -> None:
        """Esc."""
        self.wizard_app.back()

    def action_scroll_body(self, pages: int) -> None:
        """What is longer than the screen."""
        body = self.query_one("#body")
        body.scroll_relative(y=pages * (body.size.height - 1), animate=False)

    def on_descendant_focus(self) -> None:
        """Other keys in a line to type in, and again in the list."""
        if self.drawn:
            self.query_one(Footer).show_keys(self.keys())

    def on_form_toggled(self) -> None:
        """Other keys while a line is edited."""
        self.refresh_body()

    def on_resize(self, event: events.Resize) -> None:
        """Lines are cut to the new width."""
        self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        if self.drawn:  # not one that another screen has replaced meanwhile
            self.refresh_body()


def cursor_of(screen: Screen[object]) -> Offset:
    """Where keys go on a screen: the row or the letter, else the top of what is to be read."""
    widget = screen.focused or next(iter(screen.query("#body")), screen)
    at = getattr(widget, "cursor_at", None)
    return at() if at else widget.content_region.offset


def too_small() -> str:
    """What stands in a window that holds nothing else."""
    return _("Enlarge the window to 60 × 18, or leave (Ctrl+Q) and use: sft-wizard --plain")


def problem_words(problems: Sequence[Problem]) -> str:
    """The first few, each with what to do."""
    lines = [_("! {problem}").format(problem=problem_text(problem)) for problem in problems[:MOST_PROBLEMS]]
    more = len(problems) - MOST_PROBLEMS
    return "\n".join([*lines, _("and {more} more").format(more=more)] if more > 0 else lines)
