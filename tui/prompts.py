"""One line of text at a time: asked with questionary where the terminal can, with `input` where it cannot."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from engine.errors import ConfigError, Problem
from engine.text import clean
from engine.wizard.browsing import Wanted

SIMPLE_TERMINALS = ("", "dumb", "unknown", "emacs")


class Prompts(Protocol):
    """Where plain questions are asked. Tests bring one that holds the answers."""

    def ask(self, question: str) -> str:
        """A typed line. Raises EOFError and KeyboardInterrupt as `input` does."""
        ...

    def ask_path(self, question: str, wanted: Wanted) -> str:
        """The same for a path, which Tab completes where the terminal can."""
        ...

    def tell(self, text: str = "") -> None:
        """Lines for the person."""
        ...


class LinePrompts:
    """`input`, and nothing that moves the cursor: for dumb terminals and screen readers. Everything goes to stderr."""

    def ask(self, question: str) -> str:
        """The terminal itself edits the line."""
        print(clean(question), end=" ", file=sys.stderr, flush=True)
        return input()

    def ask_path(self, question: str, wanted: Wanted) -> str:
        """A dumb terminal has no keys to complete with."""
        return self.ask(question)

    def tell(self, text: str = "") -> None:
        """On stderr: stdout is for the paths at the end."""
        print(clean(text), file=sys.stderr, flush=True)


class EditedPrompts(LinePrompts):
    """questionary's text prompts: a line that can be edited, with wide characters, without colours."""

    def ask(self, question: str) -> str:
        """Never asks the terminal where its cursor is: over a slow link the reply comes as if it were typed."""
        return self._ask(question)

    def ask_path(self, question: str, wanted: Wanted) -> str:
        """Tab completes folders and what may be chosen."""
        from prompt_toolkit.completion import PathCompleter

        def fits(path: str) -> bool:
            return Path(path).is_dir() or Path(path).suffix.lower() in wanted.suffixes

        completer = PathCompleter(expanduser=True, only_directories=wanted.models, file_filter=fits)
        return self._ask(question, completer=completer, complete_while_typing=False)

    def _ask(self, question: str, **more: Any) -> str:
        import questionary
        from prompt_toolkit.data_structures import Size
        from prompt_toolkit.output import ColorDepth
        from prompt_toolkit.output.vt100 import Vt100_Output

        def size() -> Size:
            columns, rows = shutil.get_terminal_size()
            return Size(rows=rows, columns=columns)

        output = Vt100_Output(sys.stderr, size, term=os.environ.get("TERM"), enable_cpr=False)
        more |= {"output": output, "color_depth": ColorDepth.MONOCHROME, "enable_suspend": True}  # Ctrl+Z, and fg
        return str(questionary.text(clean(question), qmark="", **more).unsafe_ask())


def terminal_prompts(environ: Mapping[str, str], *, can_ask: bool) -> Prompts:
    """The prompts for this terminal. Raises ConfigError where there is none to ask at."""
    if not can_ask:
        raise ConfigError(Problem("nobody_to_ask"))
    simple = environ.get("TERM", "") in SIMPLE_TERMINALS or environ.get("ACCESSIBLE", "") not in ("", "0")
    return LinePrompts() if simple else EditedPrompts()
