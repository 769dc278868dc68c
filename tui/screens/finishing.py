"""What was made, how to serve it, how to do it again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.errors import Problem
from engine.runs.results import Results, results
from engine.text import clean
from tui.beside import beside
from tui.screens.base import StepScreen
from tui.widgets import Words
from tui.words import _


class Gathered(Message):
    """What there is to say was read, or why it could not be."""

    def __init__(self, found: Results | None, problems: tuple[Problem, ...] = ()):
        super().__init__()
        self.found, self.problems = found, problems


class FinishScreen(StepScreen):
    """Everything here can be typed on the normal screen later."""

    step = "finish"
    DEFAULT_CSS = """
    FinishScreen .head { text-style: bold; }
    FinishScreen .part { margin-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "finish", show=False),
        Binding("n", "another", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.found: Results | None = None
        self.failure: tuple[Problem, ...] = ()

    def body(self) -> ComposeResult:
        """A heading and its lines, four times."""
        for name in ("made", "serve", "repeat", "logs"):
            yield Words(id=f"{name}-head", classes="head")
            yield Words(id=name, classes="part")

    def intro(self) -> str:
        """The headings say it."""
        return ""

    def hints(self) -> Sequence[tuple[str, str]]:
        """The ways out."""
        return [("Enter", _("finish")), ("n", _("train another"))]

    def problems(self) -> Sequence[Problem]:
        """Why nothing can be said."""
        return self.failure

    def on_mount(self) -> None:
        """Read what the run left, beside the loop."""
        super().on_mount()
        app = self.wizard_app
        run, started, seen = app.run_folder, app.started, app.snapshot
        outputs = {**(started.outputs if started and run is None else {}), **(seen.outputs if seen else {})}
        config = started.config if started else Path("config.yaml")
        beside(self.post_message, lambda: Gathered(results(run, config, outputs)), partial(Gathered, None))

    def on_gathered(self, message: Gathered) -> None:
        """Draw it."""
        self.found, self.failure = message.found, message.problems
        self.refresh_body()

    def refresh_body(self) -> None:
        """Nothing is cut: long paths go on in the next line."""
        super().refresh_body()
        if self.found is not None:
            for name, (head, lines) in parts(self.found).items():
                self.query_one(f"#{name}-head", Words).show(head if lines else "")
                self.query_one(f"#{name}", Words).show("\n".join(lines))

    def accept(self) -> None:
        """Enter: leave."""
        self.wizard_app.leave(0)

    def action_back(self) -> None:
        """Esc: to the talk once more."""
        if self.found and self.found.adapter:
            self.wizard_app.go("chat")

    def action_finish(self) -> None:
        """Leave."""
        self.wizard_app.leave(0)

    def action_another(self) -> None:
        """From the first step, with fresh answers."""
        self.wizard_app.another()


def parts(found: Results) -> dict[str, tuple[str, list[str]]]:
    """{part: (heading, its lines)}; a part without lines is left out."""
    model = found.merged or found.adapter
    made = ((_("Model: {path}"), found.merged), (_("Adapter: {path}"), found.adapter))
    answers = (_("Answers before and after: {path}"), found.answers)
    python = f'transformers.pipeline("text-generation", {model!r})'
    board = shlex.join(["tensorboard", "--logdir", found.board]) if found.board else None
    return {
        "made": (_("What was made"), [line.format(path=clean(path)) for line, path in (*made, answers) if path]),
        "serve": (_("How to use it"), [*_commands(found.talk, found.serve), clean(python)] if model else []),
        "repeat": (_("How to do it again, without questions"), _commands(found.repeat)),
        "logs": (_("The log and the curves"), [*([clean(found.log)] if found.log else []), *_commands(board)]),
    }


def _commands(*commands: str | None) -> list[str]:
    """Marked, since a long one goes on in the next line."""
    return [f"$ {clean(command)}" for command in commands if command]
