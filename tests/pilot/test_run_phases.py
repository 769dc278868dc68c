"""What a run's screen tells before there are losses: phases with their times, what they found, when it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from engine.runs.folder import RunFolder
from tests.pilot.fakes import app_of, screen_text, until
from tests.pilot.runs import FakeRun
from tui.attaching import tell_history
from tui.phasewords import found_lines, phase_lines, phase_words, to_come
from tui.report import Report
from tui.runwatch import RunChanged
from tui.screens.running import RunScreen
from tui.widgets import figures

DATA = {"what": "data", "samples": 100, "tokens": 4425, "labelled": 1135, "longest": 55, "held_back": 5}
MODEL = {"what": "model", "trainable": 2_442_240, "parameters": 136_957_248, "device": "cpu"}


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return FakeRun(tmp_path / "run", steps=("train", "merge"))


@pytest.fixture
def _utc() -> Iterator[None]:
    """The time of day is UTC's; the tests after this one have their own again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def loading(run: FakeRun) -> None:
    for seconds, name in ((17, "tokenising"), (2, "loading")):
        run.now += seconds
        run.phase(name)
    run.events.write("log", **DATA)
    run.now += 75


async def shown(pilot: Any, run: FakeRun) -> None:
    pilot.app.run_folder = RunFolder(run.snapshot().path)
    pilot.app.go("training")
    await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen.is_mounted)
    seen = run.snapshot()
    pilot.app.post_message(RunChanged(seen))
    await until(pilot, lambda: pilot.app.snapshot is seen)


def test_phases_that_were_the_one_that_goes_on_and_those_to_come(run: FakeRun) -> None:
    assert phase_lines(run.snapshot())[0] == "> Loading the libraries      0 s"
    loading(run)
    assert phase_lines(run.snapshot()) == [
        "✓ Loading the libraries      17 s",
        "✓ Tokenising                 2 s",
        "> Loading the model          1 min 15 s",
        "  Training",
        "  Merging",
        "  Checking the merged model",
    ]
    run.phase("checking")
    assert to_come(run.snapshot()) == ["training", "merging", "proving"]
    run.train(1, 2)
    run.phase("predicting")
    assert to_come(run.snapshot()) == ["merging", "proving"]
    run.phase("one of a newer version")
    assert to_come(run.snapshot()) == ["merging", "proving"]
    run.fail("oom", reason="x")
    lines = phase_lines(run.snapshot())
    assert lines[-1] == "✗ one of a newer version  0 s" and not to_come(run.snapshot())


def test_a_silent_run_on_another_machine_is_not_called_broken(run: FakeRun) -> None:
    """Nobody can know from here whether it goes on."""
    loading(run)
    run.move(host="node17", boot_id="another")
    os.utime(run.folder.lock_file, (10, 10))
    seen = run.snapshot()
    assert (seen.status.state, seen.status.alive) == ("elsewhere", False)
    assert "> Loading the model          1 min 15 s" in phase_lines(seen)
    assert phase_words(seen) == "Took so far: Loading the libraries 17 s, Tokenising 2 s"


def test_a_run_that_a_person_stopped_is_not_broken(run: FakeRun) -> None:
    run.train(3, 9)
    run.finish("stopped")
    assert phase_lines(run.snapshot())[-1].startswith("= Training")


def test_lines_tell_how_long_the_phases_took(run: FakeRun) -> None:
    """Who attaches without the full screen is told as much."""
    loading(run)
    heard = StringIO()
    tell_history(Report(heard, lines=True), run.snapshot())
    assert "Took so far: Loading the libraries 17 s, Tokenising 2 s\n" in heard.getvalue()


def test_what_was_found_in_words() -> None:
    """An event of another version, or an edited one, only leaves its line out."""
    assert found_lines({"data": DATA, "model": MODEL}) == [
        "100 samples, 4425 tokens, 1135 of them trained on, longest 55, 5 held back",
        "2.44M of 137M parameters are trained (1.78 %) on cpu",
    ]
    assert found_lines({"data": {"samples": 3}, "model": {"device": "cpu"}}) == []


@pytest.mark.usefixtures("_utc")
def test_how_long_it_takes_and_till_when(run: FakeRun) -> None:
    """Somebody who looks now and then wants to know when to come back; a bar gives way to that."""
    run.now += 3700
    run.train(10, 2000)
    seen = run.snapshot()
    assert figures.state_line(seen) == "> running: Training  1 h 1 min so far"
    assert figures.progress_line(seen, 80).endswith("26 min 32 s left, till 10:58")
    assert figures.progress_line(replace(seen, eta=86_000), 80).endswith("left, till 02-01 10:25")
    assert figures.progress_line(replace(seen, now=seen.now + 60), 80).endswith("25 min 32 s left, till 10:58")
    assert "left" not in figures.progress_line(replace(seen, now=seen.now + 9e6), 80)
    assert figures.progress_line(replace(seen, eta=599), 80).endswith("9 min 59 s left")
    assert figures.progress_line(seen, 60).startswith("[-----]") and len(figures.progress_line(seen, 60)) <= 60
    run.finish()
    assert figures.state_line(run.snapshot()).endswith("took 1 h 1 min")


def test_the_gradient_stands_beside_the_loss_while_it_trains(run: FakeRun) -> None:
    """Who comes from other trainers looks for it: it jumps before the loss does."""
    run.train(3, 9)
    run.events.write("log", what="gradient", step=3, grad_norm=3.184653)
    assert figures.loss_line(run.snapshot()).endswith("gradient 3.18")
    run.finish()
    assert "gradient" not in figures.loss_line(run.snapshot())
    assert figures.rate_line(run.snapshot()) == "pass 1.00"


async def test_before_the_first_step_the_screen_tells_what_was_and_what_comes(cwd: Path, run: FakeRun) -> None:
    """Loading libraries and a model takes a minute: an empty screen looks as if nothing happened."""
    loading(run)
    async with app_of(cwd).run_test(size=(80, 24)) as pilot:
        await shown(pilot, run)
        await until(pilot, lambda: "> Loading the model          1 min 15 s" in screen_text(pilot.app))
        assert "100 samples" in screen_text(pilot.app) and "so far" in screen_text(pilot.app)
        run.train(5, 9)
        await shown(pilot, run)
        await until(pilot, lambda: "Checking the merged" not in screen_text(pilot.app))
        await pilot.press("l")
        await until(pilot, lambda: "✓ Loading the model" in screen_text(pilot.app))
    run.die()


@pytest.mark.parametrize(("height", "drawn"), [(24, False), (40, True)])
async def test_a_curve_that_broke_off_is_still_there_where_there_is_room(
    cwd: Path, run: FakeRun, height: int, drawn: bool
) -> None:
    """Where the loss went to is half of why it failed; on a small window the cause and the log come first."""
    run.train(30, 60)
    run.fail("oom", reason="x")
    async with app_of(cwd).run_test(size=(80, height)) as pilot:
        await shown(pilot, run)
        await until(pilot, lambda: "What happened" in screen_text(pilot.app))
        assert ("dots: each step" in screen_text(pilot.app)) == drawn


async def test_what_was_set_beside_the_file_takes_a_line_and_all_of_it_on_a_key(cwd: Path, tmp_path: Path) -> None:
    """It never changes: on a small window the figures have the room, and l tells it in full."""
    run = FakeRun(tmp_path / "other", changes=tuple(f"train.key_number_{number}=1" for number in range(6)))
    async with app_of(cwd).run_test(size=(80, 24)) as pilot:
        await shown(pilot, run)
        await until(pilot, lambda: "key_number_0" in screen_text(pilot.app))
        assert "key_number_5" not in screen_text(pilot.app) and "l details" in screen_text(pilot.app)
        await pilot.press("l")
        await until(pilot, lambda: "key_number_5" in screen_text(pilot.app))
        assert "l picture" in screen_text(pilot.app)
    run.die()


async def test_a_stopped_run_keeps_its_picture(cwd: Path, run: FakeRun) -> None:
    run.train(30, 60)
    run.finish("stopped")
    async with app_of(cwd).run_test(size=(80, 24)) as pilot:
        await shown(pilot, run)
        await until(pilot, lambda: "dots: each step" in screen_text(pilot.app))
