"""chat: one question, a pipe, or a conversation at a prompt."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from engine.chat.client import ChatClient
from engine.chat.source import find_source
from engine.errors import EXIT_OK
from engine.storage import state_folder
from engine.text import Phrase, clean
from tui.report import Report
from tui.words import _


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
        report.progress(Phrase("Loading {name}", {"name": found.name}), 0, 0)
        client.__enter__()
        try:
            client.wait_ready()
        except BaseException:
            client.__exit__()
            raise
    conversation = Conversation(client, "base" if base and "base" in found.voices else found.voices[0], system)
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
    switch = [_("/base and /tuned switch the weights")] if "base" in voices else []
    rest = [_("/clear forgets what was said"), _("/exit leaves"), _("Ctrl+C ends an answer")]
    return " · ".join(switch + rest)


class Conversation:
    """History and the voice that answers."""

    def __init__(self, client: ChatClient, voice: str, system: str | None):
        self.client = client
        self.voice = voice
        self.opening = [{"role": "system", "content": system}] if system else []
        self.messages = list(self.opening)

    def loop(self) -> int:
        """Ask until /exit or the end of input."""
        import readline  # noqa: F401 -- gives input() line editing and history

        while True:
            try:
                line = input(f"{self.voice}> ").strip()
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
                self.say(line)

    def command(self, line: str) -> None:
        """A line that begins with a slash."""
        if line[1:] in self.client.source.voices:
            self.voice = line[1:]
        elif line == "/clear":
            self.messages = list(self.opening)
        else:
            print(commands(self.client.source.voices), file=sys.stderr)

    def say(self, text: str) -> None:
        """Ask and print the answer as it comes; Ctrl+C ends the answer, not the conversation."""
        self.messages.append({"role": "user", "content": text})
        pieces = []
        try:
            for piece in self.client.ask(self.messages, self.voice):
                pieces.append(piece)
                sys.stdout.write(clean(piece))
                sys.stdout.flush()
        except KeyboardInterrupt:
            self.client.cancel()
        print()
        self.messages.append({"role": "assistant", "content": "".join(pieces)})
