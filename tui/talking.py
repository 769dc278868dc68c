"""chat: one question, a pipe, or a conversation at a prompt."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from engine.chat.client import ChatClient
from engine.chat.needs import needs
from engine.chat.options import OPTIONS, ChatOptions, change, shown
from engine.chat.source import find_source
from engine.chat.transcript import Exchange, save, transcript
from engine.errors import EXIT_OK, ProblemError
from engine.hardware import host, probe
from engine.storage import state_folder
from engine.text import Phrase, clean
from tui.phases import needs_words
from tui.report import Report
from tui.words import _, problem_line, say


def talk(
    source: str,
    question: str | None,
    base: bool,
    system: str | None,
    longest: int | None,
    temperature: float | None,
    overrides: Sequence[str],
) -> int:
    """Returns the exit code. Answers go to stdout as they come, everything else to stderr."""
    with Report() as report:
        found = find_source(source, report.progress, report.problem, overrides)
        log = state_folder("chat") / "chat.log"
        client = ChatClient(found, log, max_new_tokens=longest, temperature=temperature)
        wanted = needs(found, probe(), host())
        if not wanted.fits:
            report.say(needs_words(wanted))
        report.progress(Phrase("Loading {name}", {"name": found.name}), 0, 0)
        client.__enter__()
        try:
            client.wait_ready()
        except BaseException:
            client.__exit__()
            raise
    options = ChatOptions.of(client.options)
    options = change(options, "system", system) if system else options
    conversation = Conversation(client, "base" if base and "base" in found.voices else found.voices[0], options)
    try:
        if question is None and not sys.stdin.isatty():
            question = sys.stdin.read().strip()
        if question is not None:
            if question:
                conversation.say(question)
            return EXIT_OK
        print(commands(found.voices), file=sys.stderr)
        return conversation.loop()
    finally:
        client.__exit__()


def commands(voices: Sequence[str]) -> str:
    """What can be typed besides a question, in a line."""
    switch = [_("/base, /tuned and /both say who answers")] if "base" in voices else []
    rest = [
        _("/clear forgets what was said"),
        _("/save [FILE] keeps it"),
        _("/exit leaves"),
        _("Ctrl+C ends an answer"),
    ]
    settings = _("{names} show or set how answers are drawn")
    names = ", ".join(f"/{option.name}" for option in OPTIONS)
    return " · ".join([*switch, settings.format(names=names), *rest])


class Conversation:
    """What was asked and said, who answers, and how answers are drawn."""

    def __init__(self, client: ChatClient, voice: str, options: ChatOptions):
        self.client, self.options = client, options
        self.voices: tuple[str, ...] = (voice,)
        self.exchanges: list[Exchange] = []

    def loop(self) -> int:
        """Ask until /exit or the end of input."""
        import readline  # noqa: F401 -- gives input() line editing and history

        while True:
            try:
                line = input(f"{'+'.join(self.voices)}> ").strip()
            except EOFError:
                print(file=sys.stderr)
                return EXIT_OK
            except KeyboardInterrupt:
                print("  " + _("(/exit leaves)"), file=sys.stderr)
                continue
            if line in ("/exit", "/quit"):
                return EXIT_OK
            if line.startswith("/"):
                self.command(line)
            elif line:
                self.say(line, told=True)

    def command(self, line: str) -> None:
        """A line that begins with a slash."""
        name, _blank, given = line[1:].partition(" ")
        voices = self.client.source.voices
        if name in voices:
            self.voices = (name,)
        elif name == "both" and "base" in voices:
            self.voices = voices
        elif name == "clear":
            self.exchanges = []
        elif name == "save":
            self.save(given.strip())
        elif name in {option.name for option in OPTIONS}:
            self.set(name, given)
        else:
            print(commands(voices), file=sys.stderr)

    def set(self, name: str, given: str) -> None:
        """Change how answers are drawn, and say how they are now. `-` empties the system prompt."""
        try:
            if given.strip():
                self.options = change(self.options, name, "" if given.strip() == "-" else given)
        except ProblemError as error:
            print(problem_line(error.problems[0]), file=sys.stderr)
        print(f"{name}: {say(shown(self.options, name))}", file=sys.stderr)

    def save(self, given: str) -> None:
        """Keep the talk as a file of this name, which must not be there yet, else of one of its own."""
        text = transcript(self.client.source.name, self.options, self.exchanges)
        try:
            if given:
                file = Path(given).expanduser()
                with file.open("x", encoding="utf-8") as stream:
                    stream.write(text)
            else:
                file = save(Path.cwd(), text, time.time())
            print(_("Written: {path}").format(path=clean(file.absolute())), file=sys.stderr)
        except OSError as error:
            print(_("Not written: {reason}").format(reason=error.strerror or error), file=sys.stderr)

    def say(self, text: str, *, told: bool = False) -> None:
        """Ask and print the answers as they come; Ctrl+C ends an answer, not the conversation. told: how fast, too."""
        self.client.options.update(self.options.sampling)
        exchange = Exchange(text)
        self.exchanges.append(exchange)
        for voice in self.voices:
            if len(self.voices) > 1:
                print(f"[{voice}]", file=sys.stderr)
            exchange.answers[voice], whole = self._answer(voice, text)
            if told and (speed := self.client.speed):
                figures = _("{tokens} tokens, {speed:.1f} tok/s").format(tokens=self.client.tokens, speed=speed)
                print(f"({figures})", file=sys.stderr)
            if not whole:
                break

    def _answer(self, voice: str, text: str) -> tuple[str, bool]:
        """What it said, and whether it was let finish. Where only others answered before, it goes on from theirs."""
        messages = [{"role": "system", "content": self.options.system}] if self.options.system else []
        for before in self.exchanges[:-1]:
            answer = before.answers.get(voice) or next(iter(before.answers.values()), "")
            messages += [{"role": "user", "content": before.question}, {"role": "assistant", "content": answer}]
        messages.append({"role": "user", "content": text})
        pieces, whole = [], True
        try:
            for piece in self.client.ask(messages, voice):
                pieces.append(piece)
                sys.stdout.write(clean(piece))
                sys.stdout.flush()
        except KeyboardInterrupt:
            self.client.cancel()
            whole = False
        print()
        return "".join(pieces), whole
