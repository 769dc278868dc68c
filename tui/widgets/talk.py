"""What was said: a question and its answers side by side, or one below the other where there is no room."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll

from engine.chat.needs import Needs
from engine.chat.transcript import Exchange
from engine.text import clean, one_line
from tui.phases import needs_words
from tui.talker import Answering, Loading
from tui.widgets import Words
from tui.words import _, noop, translate

MOST = 30  # exchanges that are kept on the screen; a file has them all
LONGEST = 20_000  # characters of an answer that are shown
ROOM = 100  # columns of a screen where two answers stand side by side

VOICES = {"tuned": noop("Tuned"), "base": noop("Base"), "model": noop("Model")}
EARLIER = {"base": noop("Before"), "tuned": noop("After")}  # what the run itself had asked


class Turn(Container):
    """One question. Words say which weights speak, not places or colours."""

    DEFAULT_CSS = """
    Turn { height: auto; margin-bottom: 1; }
    Turn .asked { text-style: bold; }
    Turn .answers { height: auto; }
    """

    def __init__(self, question: str, voices: Sequence[str], *, earlier: bool = False):
        super().__init__()
        self.earlier = earlier
        self.exchange = Exchange(question, dict.fromkeys(voices, ""))
        self._about = dict.fromkeys(voices, "")
        self._words = {voice: Words(self._spoken(voice, "…")) for voice in voices}
        head = _("Asked by the run: {text}") if earlier else _("You: {text}")
        self._asked = Words(head.format(text=clean(question, LONGEST)), classes="asked")

    def compose(self) -> ComposeResult:
        """The question over its answers."""
        yield self._asked
        with Container(classes="answers"):
            yield from self._words.values()

    def answer(self, voice: str, text: str, about: str = "") -> None:
        """What a voice has said so far. about: how fast, or that it was cut short."""
        self.exchange.answers[voice] = text
        self._about[voice] = about
        self._words[voice].show(self._spoken(voice, text or "…"))

    def silence(self) -> None:
        """Who has not spoken by now will not."""
        for voice, text in self.exchange.answers.items():
            if not text:
                self._words[voice].show(self._spoken(voice, _("(no answer)")))

    def _spoken(self, voice: str, text: str) -> str:
        names = EARLIER if self.earlier else VOICES
        name, about = translate(names.get(voice, voice)), self._about[voice]
        head = _("{voice} ({about}): {text}") if about else _("{voice}: {text}")
        return head.format(voice=name, about=about, text=clean(text, LONGEST))


class Talk(VerticalScroll, can_focus=False):
    """Stays at its end until a person scrolls up."""

    DEFAULT_CSS = """
    Talk { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    Talk.-columns .answers { layout: horizontal; }
    Talk.-columns .answers Words { width: 1fr; margin-right: 2; }
    """

    @property
    def turns(self) -> list[Turn]:
        """Those of a person, in order; not what the run had asked."""
        return [turn for turn in self.query(Turn) if not turn.earlier]

    def add(self, turn: Turn) -> None:
        """One more; the oldest makes room."""
        for old in list(self.query(Turn))[: max(0, len(self.children) - MOST)]:
            old.remove()
        self.mount(turn)
        self.anchor()

    def clear(self) -> None:
        """Nothing was said."""
        self.query(Turn).remove()

    def to_width(self, columns: int) -> None:
        """Side by side from a width on."""
        self.set_class(columns >= ROOM, "-columns")


_LOADING = {
    "": noop("Looking for the model"),
    "libraries": noop("Loading the libraries"),
    "weights": noop("Reading the weights"),
    "adapter": noop("Putting the adapter on"),
}


def speed_words(heard: Answering) -> str:
    """How much was said, and how fast."""
    return _("{tokens} tokens, {speed:.1f} tok/s").format(tokens=heard.tokens, speed=heard.speed)


def loading_words(far: Loading, needs: Needs | None, seconds: float, waiting: str) -> str:
    """How far the model is, what it takes, and what will be asked of it."""
    parts = [translate(_LOADING.get(far.what, far.what))]
    if far.total:
        parts.append(_("{done} of {total}").format(done=far.done, total=far.total))
    parts.append(_("({seconds} s)").format(seconds=int(seconds)))
    lines = [" ".join(parts)]
    if needs:
        lines.append(needs_words(needs))
    if waiting:
        lines.append(_("Asked as soon as it is loaded: {text}").format(text=one_line(waiting, 60)))
    return "\n".join(lines)
