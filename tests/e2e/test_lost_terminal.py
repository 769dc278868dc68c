"""A wizard that is cut off at any screen: the run goes on, the answers are there again, the terminal is as it was.

And what reaches the terminal: nothing that a text from outside says, and nothing at all where nothing happens.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.terminal import CountingTerminal
from engine.runs.folder import RunFolder
from engine.runs.status import status
from engine.wizard import draft
from tests.e2e.tool import TOOL
from tests.pilot.foreign import ALL, spoil_run
from tests.pilot.runs import FakeRun
from tests.unit.bench import Bench, until

pytestmark = pytest.mark.usefixtures("private_home")

SSH = "192.0.2.1 50000 192.0.2.2 22"
ANSWERS = {"preset": "8gb", "train.lora_rank": 6}
TITLES = {"hardware": "Hardware", "model": "Model", "data": "Data", "settings": "Settings", "review": "Review"}
LEAVES_ALTERNATE, SHOWS_CURSOR = b"\x1b[?1049l", b"\x1b[?25h"

Way = Callable[[CountingTerminal], None]
WAYS: dict[str, tuple[Way, int]] = {
    "hang-up": (lambda terminal: terminal.hang_up(), 129),
    "SIGHUP": (lambda terminal: terminal.signal(signal.SIGHUP), 129),
    "SIGTERM": (lambda terminal: terminal.signal(signal.SIGTERM), 143),
    "SIGKILL": (lambda terminal: terminal.signal(signal.SIGKILL), -9),
}


def opened(cwd: Path, *arguments: str) -> CountingTerminal:
    """The wizard over SSH."""
    home = {name: os.environ[name] for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    return CountingTerminal([*TOOL, *arguments], cwd, SSH_CONNECTION=SSH, HF_HUB_OFFLINE="1", **home)


def keep_draft(cwd: Path, step: str) -> None:
    """As a wizard that was left at a step has kept it."""
    raw = {"version": draft.VERSION, "answers": ANSWERS, "step": step, "cwd": str(cwd), "started": False}
    draft.path().parent.mkdir(parents=True, exist_ok=True)
    draft.path().write_text(json.dumps(raw))


def lost(terminal: CountingTerminal, way: str) -> None:
    """Cut off; the exit code tells how, and the terminal is as it was where that is possible."""
    act, code = WAYS[way]
    act(terminal)
    assert terminal.ended() == code
    if way in ("SIGTERM", "SIGHUP"):
        assert LEAVES_ALTERNATE in terminal.received
        assert terminal.received.rindex(SHOWS_CURSOR) > terminal.received.rindex(b"\x1b[?25l")
        assert terminal.modes() == terminal.modes_before


@pytest.mark.parametrize(
    ("step", "way"),
    [("data", "hang-up"), ("settings", "SIGTERM"), ("review", "SIGKILL")]
    + [pytest.param(step, way, marks=pytest.mark.slow) for step in TITLES for way in WAYS],
)
def test_the_answers_are_there_again(tmp_path: Path, step: str, way: str) -> None:
    """Whatever cuts a person off, and wherever: the next start offers to go on at that step."""
    keep_draft(tmp_path, step)
    with opened(tmp_path) as terminal:
        terminal.wait("Go on with your answers")
        terminal.press("\r")
        terminal.wait(f"of 10: {TITLES[step]}")
        lost(terminal, way)
    kept = draft.load()
    assert kept is not None
    assert (kept.answers, kept.step) == (ANSWERS, step)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("phase", "way"),
    [("training", "hang-up"), ("merging", "SIGTERM")]
    + [
        pytest.param(phase, way, marks=pytest.mark.slow)
        for phase in ("tokenising", "loading", "training", "saving", "merging")
        for way in WAYS
    ],
)
def test_the_run_goes_on(bench: Bench, tmp_path: Path, phase: str, way: str) -> None:
    """A night's training must not end with a laptop that is shut."""
    run = bench.prepare("phases", hold=phase)
    bench.worker(run)
    with opened(tmp_path, "attach", str(run.path)) as terminal:
        terminal.wait("Safe to disconnect")
        lost(terminal, way)
        if way == "SIGTERM":
            terminal.wait(f"attach {run.id}", after=terminal.received.rindex(LEAVES_ALTERNATE))
    assert run.alive()
    assert status(run).state == "running"
    (run.path / "go").touch()
    until(lambda: not run.alive(), "the end of the run")
    assert status(run).state == "finished"


def sequences(written: bytes) -> set[bytes]:
    """The kinds of commands to the terminal in what was written: their numbers do not matter."""
    found = re.findall(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P^_X][^\x1b\x07]*|.)|\xc2[\x80-\x9f]", written)
    return {re.sub(rb"[\d;:]+", b"", sequence) for sequence in found}


def shown(run: RunFolder, cwd: Path) -> bytes:
    """What the screen of a run writes, its log and the way out included."""
    with opened(cwd, "attach", str(run.path)) as terminal:
        terminal.wait("Safe to disconnect")
        terminal.press("l")
        terminal.read(1)
        terminal.press("?")
        terminal.read(1)
        terminal.signal(signal.SIGTERM)
        terminal.ended()
        return terminal.received


def test_only_textual_speaks_to_the_terminal(tmp_path: Path) -> None:
    """Titles, clipboards and colours set by a row of data would be the row's author's hand on the person's terminal."""
    harmless, harmful = FakeRun(tmp_path / "one"), FakeRun(tmp_path / "two")
    for run in (harmless, harmful):
        run.train(5, 10)
        run.phase("merging", note="x")
        run.log("a line")
    spoil_run(harmful.folder, ALL)
    usual, found = shown(harmless.folder, tmp_path), shown(harmful.folder, tmp_path)
    assert b"[/x]" in found
    assert sequences(found) <= sequences(usual)
    assert not any(command in found for command in (b"\x1b]0;", b"\x1b]52", b"\x1bP", b"\xc2\x9b", b"\xc2\x9d"))


@pytest.mark.slow
def test_an_idle_screen_writes_nothing(tmp_path: Path) -> None:
    """A wizard that is left open over a thin line for the night costs nothing."""
    with opened(tmp_path) as terminal:
        terminal.wait("Begin")
        for title in ("Hardware", "Model", "Data", "Memory", "Settings", "Review"):
            terminal.press("\r")
            terminal.wait(f"of 10: {title}")
            while terminal.read(2):
                pass
            assert terminal.read(3) < 200, title


def test_a_window_without_size_is_no_reason_to_end(tmp_path: Path) -> None:
    """Some terminals tell of no size for a moment, while they are hidden."""
    with opened(tmp_path) as terminal:
        terminal.wait("Begin")
        for size in ((0, 0), (1, 1), (0, 40), (500, 200), (80, 24)):
            terminal.resize(*size)
            terminal.read(0.5)
        before = len(terminal.received)
        terminal.press("\r")
        terminal.wait("of 10: Hardware", after=before)
        terminal.press("\x03")
        terminal.wait("Stay")
        terminal.press("\x03")
        assert terminal.ended() == 0
        assert terminal.modes() == terminal.modes_before


def test_ctrl_c_during_a_look_up_ends_at_once(tmp_path: Path) -> None:
    """What is being looked up is a process of its own: nobody waits for it."""
    with opened(tmp_path) as terminal:
        terminal.wait("Begin")
        terminal.press("\r")
        terminal.wait("of 10: Hardware")
        terminal.press("\r")
        terminal.read(0.2)
        terminal.press("\x03")
        terminal.wait("Stay")
        terminal.press("\x03")
        assert terminal.ended(10) == 0
