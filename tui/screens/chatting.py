"""A talk with the tuned model and with the one it was made from, below the answers that the run gathered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input

from engine.chat.client import ChatClient
from engine.chat.source import ChatSource, find_source, run_source
from engine.errors import Problem
from engine.runs.folder import RunFolder
from engine.storage import state_folder
from engine.text import Phrase, clean
from tui.screens.base import StepScreen
from tui.talker import Answering, Ready, Silent, Talker, TalkFailed
from tui.widgets import Words
from tui.widgets.field import Field
from tui.words import _, noop, translate

LONGEST_SAMPLE = 400  # characters of an answer that the run gathered
MOST = 60  # lines of talk that are kept on the screen
PAUSE, PAUSE_SSH = 0.1, 0.25  # seconds between two refreshes of an answer

_VOICES = {
    "tuned": noop("Tuned: {text}"),
    "base": noop("Base: {text}"),
    "model": noop("Model: {text}"),
}


class ChatScreen(StepScreen):
    """Enter asks; on the empty line it goes on, whether or not the model was ever loaded."""

    step = "chat"
    help_key = "F1"
    AUTO_FOCUS = "#question"
    DEFAULT_CSS = """
    ChatScreen #talk { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    ChatScreen #talk Words { height: auto; }
    ChatScreen .asked { margin-top: 1; text-style: bold; }
    ChatScreen #standing { height: auto; }
    ChatScreen #line { height: 1; }
    ChatScreen #line Words { width: 2; }
    ChatScreen #question { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,f2", "voices", priority=True, show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.talker: Talker | None = None
        self.began = 0.0
        self.voices: tuple[str, ...] = ()
        self.both = True
        self.ready = self.busy = False
        self.failure: tuple[Problem, ...] = ()
        self.answers: dict[str, Words] = {}

    def body(self) -> ComposeResult:
        """What the run's questions were answered, the talk, how it stands, and the line to type in."""
        with VerticalScroll(id="talk", can_focus=False):
            yield from self._samples()
        yield Words(id="standing")
        with Horizontal(id="line"):
            yield Words(">")
            yield Field(id="question")

    def intro(self) -> str:
        """The room is the talk's."""
        return ""

    def hints(self) -> Sequence[tuple[str, str]]:
        """What the keys do now."""
        if self.busy:
            return [("Esc", _("end the answer"))]
        voices = [("Tab", _("tuned only") if self.both else _("base as well"))] if "base" in self.voices else []
        return [("Enter", _("ask; on an empty line go on")), *voices]

    def problems(self) -> Sequence[Problem]:
        """Why nobody answers."""
        return self.failure

    def on_mount(self) -> None:
        """Begin to load the model; the samples are there to read meanwhile."""
        super().on_mount()
        self._load()
        self.set_interval(1.0, self._stand)

    def on_unmount(self) -> None:
        """Nobody talks any more."""
        if self.talker:
            self.talker.close()

    def refresh_body(self) -> None:
        """Draw how it stands."""
        super().refresh_body()
        self._stand()

    # Keys

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        question = message.value.strip()
        if not question:
            self.wizard_app.go("finish")
        elif not self.busy:
            self._ask(question)

    def action_back(self) -> None:
        """Esc ends the answer; there is no way back from here."""
        if self.busy and self.talker:
            self.talker.stop()

    def action_voices(self) -> None:
        """One voice or both."""
        if "base" in self.voices:
            self.both = not self.both
            self.refresh_body()

    def action_scroll_body(self, pages: int) -> None:
        """The talk is what is long here."""
        talk = self.query_one("#talk")
        talk.scroll_relative(y=pages * (talk.size.height - 1), animate=False)

    # The talk

    def _load(self) -> None:
        app, self.failure = self.wizard_app, ()
        self.began, self.ready = time.monotonic(), False
        run, config = app.run_folder, app.started.config if app.started else None
        client = app.chat or (lambda source: ChatClient(source, state_folder("chat") / "chat.log"))
        pause = PAUSE_SSH if app.profile.ssh else PAUSE
        self.talker = Talker(self.post_message, lambda: source_of(run, config), client, pause)
        self.talker.start()

    def _ask(self, question: str) -> None:
        if self.failure:
            self._load()
        if not self.ready or self.talker is None:
            self._stand()
            return
        self.busy = True
        voices = self.voices if self.both else self.voices[:1]
        self.query_one("#question", Field).value = ""
        self.answers = {voice: Words(_spoken(voice, "…")) for voice in voices}
        talk = self.query_one("#talk", VerticalScroll)
        for old in list(talk.children)[: max(0, len(talk.children) - MOST)]:
            old.remove()
        talk.mount(Words(_("You: {text}").format(text=clean(question)), classes="asked"), *self.answers.values())
        talk.anchor()  # stays at the end until the person scrolls up
        self.talker.ask(question, voices)
        self.refresh_body()

    def on_ready(self, message: Ready) -> None:
        """The model is loaded."""
        self.ready, self.voices = True, message.voices
        self.refresh_body()

    def on_answering(self, message: Answering) -> None:
        """Some words more."""
        text = message.text + (" " + _("(ended)") if message.stopped else "")
        self.answers[message.voice].show(_spoken(message.voice, text))

    def on_silent(self, message: Silent) -> None:
        """The next question can be asked."""
        for voice, words in self.answers.items():
            if words.text == _spoken(voice, "…"):
                words.show(_spoken(voice, _("(not asked)")))
        self.busy = False
        self.refresh_body()

    def on_talk_failed(self, message: TalkFailed) -> None:
        """Said in place; a question tries again."""
        self.failure, self.ready, self.busy = message.problems, False, False
        self.refresh_body()

    def _stand(self) -> None:
        standing = ""
        if self.failure:
            standing = _("Enter goes on without a talk; a question tries again.")
        elif not self.ready:
            line = _("Loading the model ({seconds} s); Enter goes on without a talk.")
            standing = line.format(seconds=int(time.monotonic() - self.began))
        elif not self.busy:
            both = _("Type a question: both models answer it.")
            standing = both if len(self.voices) > 1 and self.both else _("Type a question.")
        self.query_one("#standing", Words).show(standing)

    def _samples(self) -> ComposeResult:
        seen: Any = self.wizard_app.snapshot
        for sample in seen.samples if seen else ():
            yield Words(_("Question: {text}").format(text=_shortened(sample.get("question"))), classes="asked")
            yield Words(_("Before: {text}").format(text=_shortened(sample.get("base"))))
            yield Words(_("After: {text}").format(text=_shortened(sample.get("tuned"))))


def source_of(run: RunFolder | None, config: Any) -> ChatSource:
    """What a run made, else what the config it would have been made from. Blocks. Raises ProblemError."""
    found = run_source(run.config()) if run else None
    return found or find_source(str(config), _unseen)


def _unseen(what: Phrase, done: int, total: int) -> None:
    """Nothing is fetched here that the run did not have."""


def _spoken(voice: str, text: str) -> str:
    return translate(_VOICES[voice]).format(text=clean(text))


def _shortened(text: object) -> str:
    return clean(text or "", LONGEST_SAMPLE).strip()
