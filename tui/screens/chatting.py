"""A talk with the tuned model and with the one it was made from, below the answers that the run gathered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size

from engine.chat.client import ChatClient
from engine.chat.needs import Needs
from engine.chat.options import ChatOptions
from engine.chat.source import ChatSource
from engine.chat.transcript import save, transcript
from engine.errors import Problem
from engine.storage import state_folder
from engine.text import clean
from tui.beside import beside
from tui.screens.base import StepScreen, problem_words
from tui.screens.chatsettings import ChatSettings, Settled
from tui.screens.finishing import Kept
from tui.talker import Answering, Loading, Ready, Silent, Sized, Talker, TalkFailed, size_of, source_of
from tui.widgets import Words
from tui.widgets.asking import Asking
from tui.widgets.talk import Talk, Turn, loading_words, speed_words
from tui.words import _

LONGEST_SAMPLE = 400  # characters of an answer that the run gathered
PAUSE, PAUSE_SSH = 0.1, 0.6  # seconds between two refreshes of an answer
MOST_OFFERED = 5


class ChatScreen(StepScreen):
    """Enter asks the question of the row, or the typed one; the last row goes on, whatever was loaded by then."""

    step = "chat"
    help_key = "F1"
    AUTO_FOCUS = "#asks"
    DEFAULT_CSS = """
    ChatScreen #standing { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,shift+tab", "other", priority=True, show=False),
        Binding("ctrl+o", "settings", priority=True, show=False),
        Binding("ctrl+s", "save", priority=True, show=False),
        Binding("ctrl+l", "clear", priority=True, show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.talker: Talker | None = None
        self.began = 0.0
        self.voices: tuple[str, ...] = ()
        self.both = True
        self.ready = self.busy = False
        self.failure: tuple[Problem, ...] = ()
        self.options: ChatOptions | None = None  # a person's; until then the source's
        self.source: ChatSource | None = None
        self.needs: Needs | None = None
        self.far = Loading("", 0, 0)
        self.waiting_question = ""
        self.from_data: list[str] = []
        self.told = ""
        self.now: Turn | None = None
        self.heard: Answering | None = None  # of the answer that is being given

    def body(self) -> ComposeResult:
        """What the run's questions were answered, the talk, how it stands, what can be asked, and a line to type in."""
        yield Talk(id="talk")
        yield Words(id="standing")
        yield Asking(id="asking")

    def intro(self) -> str:
        """The room is the talk's."""
        return ""

    def hints(self) -> Sequence[tuple[str, str]]:
        """What the keys do now."""
        if self.busy:
            return [("Esc", _("end the answer")), ("Tab", _("type"))]
        said = [("Ctrl+S", _("save"))] if self.query_one(Talk).turns else []
        return [("Enter", _("ask")), ("Tab", _("type")), ("Ctrl+O", _("settings")), *said]

    def arrive(self) -> None:
        """Begin to load the model; the samples are there to read meanwhile."""
        talk = self.query_one(Talk)
        for sample in self._samples():
            turn = Turn(_shortened(sample.get("question")), ("base", "tuned"), earlier=True)
            for voice in ("base", "tuned"):
                turn.answer(voice, _shortened(sample.get(voice)))
            talk.mount(turn)
        self._to_size(self.app.size)
        super().arrive()
        self._load()
        self.set_interval(1.0, self._stand)

    def on_unmount(self) -> None:
        """Nobody talks any more."""
        if self.talker:
            self.talker.close()

    def refresh_body(self) -> None:
        """Draw how it stands and what can be asked."""
        super().refresh_body()
        self._stand()
        asked = [str(sample.get("question") or "") for sample in self._samples()]
        offered = list(dict.fromkeys(filter(None, [*asked[: MOST_OFFERED - 2], *self.from_data])))
        self.query_one(Asking).show(offered[:MOST_OFFERED], silent=not self.busy)

    def on_resize(self, event: events.Resize) -> None:
        """Side by side where there is room."""
        self._to_size(event.size)

    def _to_size(self, size: Size) -> None:
        self.query_one(Talk).to_width(size.width)
        self.query_one(Asking).to_height(size.height)

    # Keys

    def on_asking_asked(self, message: Asking.Asked) -> None:
        """A question, of the rows or typed."""
        if not self.busy:
            self._ask(message.question)

    def on_asking_going(self) -> None:
        """The last row."""
        self.wizard_app.go("finish")

    def action_back(self) -> None:
        """Esc ends the answer, or empties the line; there is no way back from here."""
        if self.busy and self.talker:
            self.talker.stop()
        else:
            self.query_one(Asking).empty()

    def action_other(self) -> None:
        """From the rows to the line, and back."""
        self.query_one(Asking).toggle()

    def action_clear(self) -> None:
        """Forget what was said."""
        if self.talker and not self.busy:
            self.talker.forget()
            self.query_one(Talk).clear()
            self.told = _("Forgotten: the next question is the first.")
            self.call_after_refresh(self.refresh_body)

    def action_settings(self) -> None:
        """How answers are drawn, and whose."""
        if not self.busy and self.is_active:
            both = self.both if "base" in self._voices() else None
            gpu = bool(self.needs and (self.needs.device or self._options().processor))
            said = bool(self.query_one(Talk).turns)
            self.app.push_screen(ChatSettings(self._options(), both=both, gpu=gpu, said=said), self._settled)

    def action_save(self) -> None:
        """The talk as a file."""
        exchanges = [turn.exchange for turn in self.query_one(Talk).turns]
        if exchanges and not self.busy:
            text = transcript(self.source.name if self.source else "", self._options(), exchanges)
            folder, now = self._folder(), self.wizard_app.clock()
            beside(self.post_message, lambda: Kept(save(folder, text, now)), partial(Kept, None))

    def on_kept(self, message: Kept) -> None:
        """Say where, or why not."""
        self.told = problem_words(message.problems)
        if message.file:
            self.told = _("Written: {path}").format(path=clean(message.file))
        self.refresh_body()

    def action_scroll_body(self, pages: int) -> None:
        """The talk is what is long here."""
        talk = self.query_one(Talk)
        talk.scroll_relative(y=pages * (talk.size.height - 1), animate=False)

    # The talk

    def _load(self) -> None:
        app, self.failure, self.far = self.wizard_app, (), Loading("", 0, 0)
        self.began, self.ready = time.monotonic(), False
        run, config = app.run_folder, app.started.config if app.started else None
        client = app.chat or (lambda source: ChatClient(source, state_folder("chat") / "chat.log"))
        pause = PAUSE_SSH if app.profile.ssh else PAUSE
        processor = bool(self.options and self.options.processor)
        said = self.talker.said if self.talker else None
        self.talker = Talker(
            self.post_message, partial(source_of, run, config, processor=processor), client, pause, size_of, said
        )
        self.talker.start()

    def _ask(self, question: str) -> None:
        self.told = ""
        if self.failure:
            self._load()
        if not self.ready or self.talker is None:
            self.waiting_question = question
            self.refresh_body()
            return
        self.busy, self.waiting_question = True, ""
        voices = self.voices if self.both else self.voices[:1]
        self.now = Turn(question, voices)
        self.query_one(Talk).add(self.now)
        self.talker.ask(question, voices, self._options())
        self.refresh_body()

    def on_sized(self, message: Sized) -> None:
        """The model was found."""
        self.source, self.needs = message.source, message.needs
        self._stand()

    def on_loading(self, message: Loading) -> None:
        """How far it is."""
        self.far = message
        self._stand()

    def on_ready(self, message: Ready) -> None:
        """The model is loaded; what was asked meanwhile is asked now."""
        self.ready, self.voices, self.from_data = True, message.voices, message.questions
        if self.waiting_question:
            self._ask(self.waiting_question)
        self.refresh_body()

    def on_answering(self, message: Answering) -> None:
        """Some words more."""
        if self.now is None:
            return
        self.heard = None if message.ended else message
        about = _("ended by you") if message.stopped else ""
        if message.ended and message.speed and not about:
            about = speed_words(message)
        self.now.answer(message.voice, message.text, about)

    def on_silent(self, message: Silent) -> None:
        """The next question can be asked."""
        if self.now:
            self.now.silence()
        self.busy, self.now, self.heard = False, None, None
        self.refresh_body()

    def on_talk_failed(self, message: TalkFailed) -> None:
        """Said in place; a question tries again."""
        if self.now:
            self.now.silence()
        self.failure, self.ready, self.busy, self.now, self.waiting_question = message.problems, False, False, None, ""
        self.refresh_body()

    def _settled(self, given: Settled | None) -> None:
        if given is None:
            return
        reload = given.options.processor != self._options().processor
        self.options, self.both = given.options, given.both
        if given.forget:
            self.action_clear()
        if reload and self.talker:
            self.talker.close()
            self._load()
        self.refresh_body()

    def _stand(self) -> None:
        if self.drawn:
            self.query_one("#standing", Words).show("\n".join(filter(None, (self.told, self._standing()))))

    def _standing(self) -> str:
        if self.failure:
            return "\n".join([problem_words(self.failure), _("A question tries again; Ctrl+O changes the settings.")])
        if not self.ready:
            return loading_words(self.far, self.needs, time.monotonic() - self.began, self.waiting_question)
        if self.busy:
            return " ".join([_("Esc ends the answer."), *([speed_words(self.heard)] if self.heard else [])])
        both = len(self.voices) > 1 and self.both
        return _("Enter asks both models; or type a question.") if both else _("Enter asks; or type a question.")

    # What is known

    def _voices(self) -> tuple[str, ...]:
        return self.voices or (self.source.voices if self.source else ())

    def _options(self) -> ChatOptions:
        return self.options or ChatOptions.of(self.source.sampling if self.source else {})

    def _samples(self) -> Sequence[dict[str, Any]]:
        seen = self.wizard_app.snapshot
        return seen.samples if seen else ()

    def _folder(self) -> Path:
        """Of the run, whose talk it is; else of the config."""
        app = self.wizard_app
        if app.run_folder:
            return app.run_folder.path
        return app.started.config.parent if app.started else app.wizard.cwd


def _shortened(text: object) -> str:
    return clean(text or "", LONGEST_SAMPLE).strip()
