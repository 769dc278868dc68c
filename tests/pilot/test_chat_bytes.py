"""What a talk costs on a thin line: answers that stream, and silence."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.terminal import CountingTerminal

ROOT = Path(__file__).parents[2]
SECONDS = 5.0
MOST = 12_000  # bytes a second
SSH = "192.0.2.1 50000 192.0.2.2 22"

TALK = """
import os, sys, time
from pathlib import Path
from engine.wizard.session import Wizard
from tests.pilot.fakes import FakeDesk
from tests.pilot.test_chat import FakeClient, trained
from tui.app import WizardApp
from tui.term import TerminalProfile

class Rambling(FakeClient):
    def ask(self, messages, voice):
        for number in range(400):
            time.sleep(0.02)
            self.tokens = number
            yield f"word{number} "

profile = TerminalProfile.of(os.environ, stdin=True, stderr=True, encoding="utf-8")
run = trained(Path(sys.argv[1])).folder
app = WizardApp(Wizard(Path(sys.argv[1])), FakeDesk(), profile=profile, run=run, chat=Rambling())
app.run(mouse=False)
"""


@pytest.mark.slow
def test_an_answer_stays_within_a_slow_connection(tmp_path: Path) -> None:
    """Fifty pieces a second must not become fifty redraws; who reads what was said costs nothing."""
    home = {"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"], "SSH_CONNECTION": SSH, "PYTHONPATH": str(ROOT)}
    with CountingTerminal([sys.executable, "-c", TALK, str(tmp_path)], tmp_path, **home) as terminal:
        terminal.wait("Everything is done")
        terminal.press("\r")
        terminal.wait("type a question")
        terminal.read(2)
        assert terminal.read(3) < 200
        terminal.press("\r")
        terminal.wait("Tuned:")
        written = sum(terminal.read(0.5) for _ in range(int(SECONDS * 2)))
        assert 500 < written < MOST * SECONDS, written / SECONDS
        print(f"{written / SECONDS:.0f} bytes a second")
