"""The wizard's TensorBoard: started and ended on a key, never beyond the wizard's own end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from textual.message import Message

from engine.errors import Problem
from engine.runs.board import Board, board_folder, open_board, tunnel
from engine.runs.folder import RunFolder
from tui.beside import beside
from tui.words import _, problem_text


class BoardOpened(Message):
    """It answers, or why there is none. For the app, which goes on where a screen does not."""

    def __init__(self, board: Board | None, problems: tuple[Problem, ...] = ()):
        super().__init__()
        self.board, self.problems = board, problems


class Boarding:
    """At most one. opener: what starts one, which blocks; environ: where the connection is looked up."""

    def __init__(self, opener: Callable[[Path], Board] = open_board, environ: Mapping[str, str] | None = None):
        self._open = opener
        self._environ = os.environ if environ is None else environ
        self.board: Board | None = None
        self.starting = False
        self.problems: tuple[Problem, ...] = ()

    def toggle(self, run: RunFolder, config: Mapping[str, object], post: Callable[[Message], object]) -> None:
        """Start it on a run's curves, or end it."""
        if self.starting:
            return
        if self.board is not None:
            self.close()
            return
        folder = board_folder(run, config)
        self.problems = () if folder.is_dir() else (Problem("no_curves"),)
        if not self.problems:
            self.starting = True
            beside(post, lambda: BoardOpened(self._open(folder)), partial(BoardOpened, None))

    def opened(self, message: BoardOpened) -> None:
        """What came of it."""
        self.starting, self.board, self.problems = False, message.board, message.problems

    def close(self) -> None:
        """End it; it ends by itself with the wizard."""
        if self.board is not None:
            self.board.close()
        self.board, self.problems = None, ()

    def words(self) -> str:
        """Where it is and how a browser gets there, or why not; empty where nobody asked."""
        if self.starting:
            return _("Starting TensorBoard …")
        if self.problems:
            return "\n".join(_("! {problem}").format(problem=problem_text(problem)) for problem in self.problems)
        if self.board is None:
            return ""
        if not self.board.alive:
            return _("TensorBoard has ended; t starts it again.")
        lines = [_("TensorBoard: {url}  (t ends it)").format(url=self.board.url)]
        if self.board.taken:
            lines[0] = _("TensorBoard: {url}  (its usual port is in use; t ends it)").format(url=self.board.url)
        if line := tunnel(self.board.port, self._environ):
            lines += [_("To open that address on your own machine, first type there:"), line]
        return "\n".join(lines)
