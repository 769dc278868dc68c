"""What opens beside a run: its whole log in a pager, TensorBoard; and what the watcher measures of the worker."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import EnvironmentProblem, Problem
from engine.hardware import GIB
from engine.hardware.load import Load
from engine.runs.board import Board
from engine.runs.folder import RunFolder
from tests.pilot.fakes import PROFILE, app_of, screen_text, until
from tests.pilot.runs import FakeRun
from tests.pilot.test_run_screen import HOSTILE
from tests.pilot.test_run_watch import Listener
from tests.pilot.test_run_watch import until as heard
from tui.boarding import Boarding
from tui.pager import page, pieces, show_log
from tui.runwatch import RunReading, RunWatch

SSH = {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}


# The log


def test_the_pager_gets_plain_text_and_no_options_of_the_persons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LESS=-R would let a log line set the window's title or worse; LESSOPEN would run a program."""
    monkeypatch.setenv("LESS", "-R")
    monkeypatch.setenv("LESSOPEN", "|touch /tmp/x %s")
    log, said = tmp_path / "train.log", tmp_path / "said"
    log.write_text(f"one\nbar 1%\rbar 99%\n{HOSTILE}\nlast without an end")
    pager = tmp_path / "less"
    report = "{'argv': sys.argv[1:], 'less': {k: v for k, v in os.environ.items() if k.startswith('LESS')}}"
    pager.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"json.dump({report} | {{'read': sys.stdin.read()}}, open({str(said)!r}, 'w'))\n"
    )
    pager.chmod(0o700)
    page(str(pager), log)
    found = json.loads(said.read_text())
    assert found["less"] == {"LESSSECURE": "1", "LESSHISTFILE": "-"} and "-R" not in " ".join(found["argv"])
    assert found["read"].startswith("one\nbar 99%\n[/x] [b ") and found["read"].endswith("last without an end\n")
    assert not set(found["read"]) & set("\x1b\x07\u202e\r")


def test_a_pager_that_is_closed_early_leaves_the_rest_unread(tmp_path: Path) -> None:
    """q after the first page of a log of gigabytes."""
    log = tmp_path / "train.log"
    log.write_text("a line of the log\n" * 200_000)
    pager = tmp_path / "less"
    pager.write_text("#!/bin/sh\nhead -c 10 >/dev/null\n")
    pager.chmod(0o700)
    page(str(pager), log)
    assert sum(piece.count(b"\n") for piece in pieces(log)) == 200_000


@pytest.mark.parametrize("found", [None, "/usr/bin/less"])
async def test_without_a_pager_or_a_terminal_the_log_opens_in_a_pane(
    cwd: Path, tmp_path: Path, found: str | None
) -> None:
    """Containers have no less; and what is served over the web cannot be suspended."""
    run = FakeRun(tmp_path)
    run.log("first line", HOSTILE, "last line")
    app = app_of(cwd, run=run.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Safe to disconnect" in screen_text(app))
        show_log(app, run.folder.log_file, lambda name: found)
        await until(pilot, lambda: "first line" in screen_text(app))
        assert "\x1b" not in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "Safe to disconnect" in screen_text(app))
    run.die()


# TensorBoard


def served(alive: bool = True, taken: bool = False) -> tuple[Board, list[str]]:
    """A board without a server, and what became of it."""
    done: list[str] = []
    pipe = SimpleNamespace(close=lambda: done.append("closed"))
    process: Any = SimpleNamespace(
        poll=lambda: None if alive else 1, stdin=pipe, terminate=lambda: None, wait=lambda: None
    )
    return Board(6007, process, taken), done


async def test_tensorboard_on_a_key_and_off_again(cwd: Path, tmp_path: Path) -> None:
    """The address, and the line that brings it through SSH, stand on the screen as long as it runs."""
    run = FakeRun(tmp_path)
    run.train(3, 9)
    run.folder.tensorboard.mkdir()
    board, done = served()
    opened: list[Path] = []
    app = app_of(cwd, run=run.folder)
    app.boarding = Boarding(lambda folder: opened.append(folder) or board, SSH)  # type: ignore[func-returns-value]
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Safe to disconnect" in screen_text(app))
        await pilot.press("t")
        await until(pilot, lambda: "TensorBoard: http://127.0.0.1:6007/  (t ends it)" in screen_text(app))
        assert "ssh -L 6007:127.0.0.1:6007" in screen_text(app) and "@192.0.2.2" in screen_text(app)
        assert opened == [run.folder.tensorboard] and done == []
        await pilot.press("t")
        await until(pilot, lambda: "6007" not in screen_text(app))
        assert done == ["closed"]
    run.die()


async def test_why_there_is_no_tensorboard(cwd: Path, tmp_path: Path) -> None:
    """Nothing was written, or it is not installed: said with what to do, and asked again by the same key."""

    def refuse(folder: Path) -> Board:
        raise EnvironmentProblem(Problem("board_missing"))

    run = FakeRun(tmp_path)
    run.train(3, 9)
    app = app_of(cwd, run=run.folder)
    app.boarding = Boarding(refuse, {})
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Safe to disconnect" in screen_text(app))
        await pilot.press("t")
        await until(pilot, lambda: "This run writes no files for TensorBoard" in screen_text(app))
        run.folder.tensorboard.mkdir()
        await pilot.press("t")
        await until(pilot, lambda: "TensorBoard is not installed" in screen_text(app))
        assert "pip install" in screen_text(app)
    run.die()


def test_words_of_a_board_that_took_another_port_and_of_one_that_ended() -> None:
    boarding = Boarding(environ={})
    boarding.board = served(taken=True)[0]
    assert "its usual port is in use" in boarding.words() and "ssh" not in boarding.words()
    boarding.board = served(alive=False)[0]
    assert "t starts it again" in boarding.words()


# What the worker takes


class FakeMeter:
    """Takes more each time it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def read(self, pid: int, device: str) -> Load:
        self.asked.append((pid, device))
        return Load(True, len(self.asked) * GIB, 24 * GIB, busy=50, temperature=60)


async def test_the_worker_is_measured_now_and_then_while_it_lives(tmp_path: Path) -> None:
    """Not with every tick: the driver of a busy card takes its time to answer."""
    run, app, meter, now = FakeRun(tmp_path), Listener(), FakeMeter(), [0.0]
    run.events.write("log", what="model", trainable=1, parameters=2, device="cuda:0")
    async with app.run_test():
        watch = RunWatch(app, run.folder, 0.01, meter, clock=lambda: now[0])  # type: ignore[arg-type]
        watch.start()
        await heard(lambda: app.heard and app.heard[-1].load)
        run.train(3, 9)
        await heard(lambda: app.heard[-1].step == 3)
        assert meter.asked == [(os.getpid(), "cuda:0")]
        now[0] = 2.5
        await heard(lambda: app.heard[-1].load == Load(True, 2 * GIB, 24 * GIB, busy=50, temperature=60))
        run.finish()
        await heard(lambda: app.heard[-1].outcome == "done")
        assert app.heard[-1].load is None and len(meter.asked) == 2


class Reader(Listener):
    """Also keeps how far the reading is."""

    def __init__(self) -> None:
        super().__init__()
        self.shares: list[float] = []

    def on_run_reading(self, message: RunReading) -> None:
        self.shares.append(message.share)


async def test_a_long_history_is_read_in_pieces_before_the_first_look(tmp_path: Path) -> None:
    """A hundred thousand steps: the screen says so meanwhile, and what it then draws is small."""
    run, app = FakeRun(tmp_path), Reader()
    lines = (
        json.dumps({"v": 1, "seq": n, "t": 1.0, "type": "step", "step": n, "total": 100_000, "loss": 2.0 + n % 5})
        for n in range(1, 50_001)
    )
    run.folder.events_file.write_text("\n".join(lines) + "\n")
    async with app.run_test():
        RunWatch(app, run.folder, 0.01).start()
        await heard(lambda: app.heard)
        assert app.shares and app.shares == sorted(app.shares) and app.shares[-1] < 1
        seen = app.heard[-1]
        assert (seen.step, seen.loss) == (50_000, 2.0)
        assert len(seen.losses) < 5000 and seen.losses[-1] == (50_000, 2.0)
    run.die()


async def test_the_screen_says_that_it_is_reading(cwd: Path, tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    app = app_of(cwd, profile=replace(PROFILE, tick=1000.0))
    async with app.run_test(size=(80, 24)) as pilot:
        app.run_folder = RunFolder(run.folder.path)
        app.go("training")
        await until(pilot, lambda: "Looking at the run" in screen_text(app))
        app.post_message(RunReading(run.folder.path, 0.345))
        await until(pilot, lambda: "Reading the run's events … 34 %" in screen_text(app))
    run.die()
