"""The screen of a run: every state and every failure, the keys, and text that is out to do harm."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Problem, ProblemError
from engine.hardware import GIB
from engine.hardware.load import Load
from engine.runs.folder import RunFolder
from engine.runs.retry import Retry
from engine.runs.view import Snapshot
from engine.text import Phrase
from engine.wizard.desk import Progress, Started
from tests.pilot.fakes import PROFILE, FakeDesk, app_of, screen_text, until
from tests.pilot.runs import HOME, FakeRun
from tui.app import WizardApp
from tui.runwatch import RunChanged
from tui.screens.running import RunScreen
from tui.widgets.chart import LossChart

CONFIG = Path("/home/ada/my_project/config.yaml")
HOSTILE = "[/x] [b \x1b]52;c;aGk=\x07 \x1b[31m\u202e" + "long " * 3000


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are named as where the shell finds them."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def beginning(run: FakeRun) -> None:
    run.die()
    run.folder.lock_file.unlink()


def tokenising(run: FakeRun) -> None:
    run.phase("tokenising")
    run.events.write("progress", done=1200, total=5000, unit="rows")


def training(run: FakeRun) -> None:
    run.events.write("warning", code="cpu_fp32", params={}, severity="note")
    run.train(50, 120)
    run.events.write("eval", step=50, loss=1.7)
    run.events.write("checkpoint", step=50, path="/c")
    run.train(13, 120)
    run.log(*(f"line {number} of the log" for number in range(20)))
    run.load = Load(True, int(9.2 * GIB), 24 * GIB, busy=97, temperature=61)


def on_a_processor(run: FakeRun) -> None:
    plan = {"micro_batches": "packed", "difference": 2e-7, "budget": 2048, "recompute": 0, "layers": 30}
    run.events.write("log", what="step", **plan)
    training(run)
    run.load = Load(False, int(2.1 * GIB), 128 * GIB, busy=390)


def stopping(run: FakeRun) -> None:
    training(run)
    run.state("stopping")


def elsewhere(run: FakeRun) -> None:
    training(run)
    run.move(host="node17", boot_id="another")


def merging(run: FakeRun) -> None:
    training(run)
    run.events.write("log", what="memory", peak_bytes={"allocated": 9_870_000_000})
    run.phase("merging")
    figures = {"tensors": 272, "bytes_out": 270_000_000, "disk_needed": 304_000_000, "disk_free": 120_000_000_000}
    memory = {"memory_peak": 460_000_000, "memory_free": 24_000_000_000}
    run.events.write("log", what="merge", dtype=None, **figures, **memory)
    run.events.write("progress", done=120_000_000, total=270_000_000, unit="bytes")


def finished(run: FakeRun) -> None:
    merging(run)
    run.events.write("proof", method="logits", passed=True, changes_nothing=False, ratio=0.0123, tensors_checked=272)
    run.finish(adapter="/home/ada/my_project/saves/adapter", merged="/home/ada/my_project/models/merged")


def stopped(run: FakeRun) -> None:
    training(run)
    run.events.write("checkpoint", step=63, path="/c")
    run.finish("stopped", adapter="/home/ada/my_project/saves/adapter")


def out_of_memory(run: FakeRun) -> None:
    training(run)
    reason = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 23.6 GiB in all, 1.1 GiB of them free."
    run.fail("oom", reason=reason)


def nan_loss(run: FakeRun) -> None:
    training(run)
    run.fail("nan_loss", step=64, loss="nan")


def disk_full(run: FakeRun) -> None:
    training(run)
    run.fail("disk_full", path="/home/ada/my_project/saves/adapter/checkpoint-60")


def bad_data(run: FakeRun) -> None:
    run.phase("tokenising")
    run.log("Reading data/train.jsonl")
    data = "/home/ada/my_project/data/train.jsonl"
    row = {"code": "data_row_no_answer", "params": {"row": 17, "messages": 1}, "file": data, "line": 17}
    run.fail("dataset_no_usable_row", (row,), name="train", read=40, reasons=1, file=data)


def no_gradient(run: FakeRun) -> None:
    run.phase("training", step=0, total=120)
    run.fail("no_gradient", loss=2.1)


def package_missing(run: FakeRun) -> None:
    run.phase("loading")
    run.fail("missing_package", name="sentencepiece", reason="No module named 'sentencepiece'")


def gated_model(run: FakeRun) -> None:
    run.phase("loading")
    reason = "it is gated or private: accept its licence on the hub, then run hf auth login"
    run.fail("model_missing", name="acme/closed-7b", folder="/home/ada/acme/closed-7b", reason=reason)


def labels_masked(run: FakeRun) -> None:
    run.phase("tokenising")
    run.fail("all_labels_masked", rows=40, first="train:1")


def other_template(run: FakeRun) -> None:
    run.phase("tokenising")
    run.fail(
        "template_needs_markers", template="qwen3", tokens=["<|im_start|>"], list="<|im_start|>", usable=["llama3"]
    )


def killed_for_memory(run: FakeRun) -> None:
    training(run)
    counter = run.folder.path / "memory.events"
    counter.write_text("oom_kill 1\n")
    run.state("running", kills={"file": str(counter), "count": 0})
    run.die()


def model_missing(run: FakeRun) -> None:
    run.phase("loading")
    run.fail("model_missing", name="acme/none-7b", folder="/home/ada/acme/none-7b", reason="no such repository")


def crashed(run: FakeRun) -> None:
    training(run)
    run.die()
    run.state("running", how="SIGKILL")


def killed(run: FakeRun) -> None:
    training(run)
    run.fail("killed", log=str(run.folder.log_file), by="ada@node17")


def internal(run: FakeRun) -> None:
    run.phase("loading")
    run.log("Traceback (most recent call last):", '  File "x.py", line 3, in load', "ValueError: not a model")
    run.fail("internal", type="ValueError", reason="not a model")


STATES: list[Callable[[FakeRun], None]] = [
    *(beginning, tokenising, training, on_a_processor, stopping, elsewhere, merging, finished, stopped),
    *(out_of_memory, nan_loss, no_gradient, disk_full, bad_data, labels_masked, other_template, model_missing),
    *(gated_model, package_missing, crashed, killed, killed_for_memory, internal),
]
OURS = Started(RunFolder(HOME), CONFIG, {})


async def put(pilot: Any, seen: Snapshot, *, started: Started | None = OURS) -> None:
    """The screen of a run as it is."""
    app: WizardApp = pilot.app
    app.run_folder, app.started = RunFolder(seen.path), started
    app.go("training")
    await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.is_mounted)
    await news(pilot, seen)


async def news(pilot: Any, seen: Snapshot) -> None:
    pilot.app.post_message(RunChanged(seen))
    await until(pilot, lambda: pilot.app.snapshot is seen)


def seen_after(tmp_path: Path, what: Callable[[FakeRun], None]) -> Snapshot:
    """The snapshot of a run to which `what` happened; how long ago its last sign of life came is fixed."""
    run = FakeRun(tmp_path / "run")
    what(run)
    seen = run.snapshot()
    run.die()
    return replace(seen, status=replace(seen.status, heartbeat_age=30.0))


async def test_with_ascii_alone_nothing_else_is_drawn(cwd: Path, tmp_path: Path) -> None:
    """The picture too is made of what every terminal has."""
    app = app_of(cwd, profile=replace(PROFILE, ascii_only=True))
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, training))
        assert str(app.screen.query_one(LossChart).render()).isascii()


async def test_the_log_takes_the_room_when_asked(cwd: Path, tmp_path: Path) -> None:
    """l shows notes in full and many lines; l again brings the picture back."""
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, training))
        assert "line 16" in screen_text(app) and "line 15" not in screen_text(app)
        await pilot.press("l")
        await until(pilot, lambda: "line 12 of the log" in screen_text(app))
        assert "finer" in screen_text(app)
        await pilot.press("l")
        await until(pilot, lambda: "line 12 of the log" not in screen_text(app))
        await pilot.press("c")
        await until(pilot, lambda: "c: linear scale" in screen_text(app))


async def test_stop_asks_once_and_then_tells_the_worker(cwd: Path, tmp_path: Path) -> None:
    """One slip of the finger must not end a night's training; and a stop goes the engine's way."""
    run = FakeRun(tmp_path / "run")
    run.train(5, 100)
    run.move(host="node17", boot_id="another")  # a worker that no signal from here reaches
    app = app_of(cwd, run=run.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "node17" in screen_text(app))
        await pilot.press("s")
        await until(pilot, lambda: "s again stops after this step and saves" in screen_text(app))
        assert not run.folder.stop_file.exists()
        await pilot.press("escape")
        await until(pilot, lambda: "Safe to disconnect" in screen_text(app))
        await pilot.press("s", "s")
        await until(pilot, run.folder.stop_file.exists)
        await until(pilot, lambda: "Asked to stop" in screen_text(app))


async def test_a_stop_that_comes_too_late_says_so(cwd: Path, tmp_path: Path) -> None:
    """The run ended between the look and the key."""
    run = FakeRun(tmp_path / "run")
    run.train(5, 100)
    app = app_of(cwd, run=run.folder, profile=replace(PROFILE, tick=1000.0))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "step 5 of 100" in screen_text(app))
        run.finish()
        await pilot.press("s", "s")
        await until(pilot, lambda: "does not go on any more" in screen_text(app))


@pytest.mark.parametrize("key", ["d", "q"])
async def test_leaving_leaves_the_run(cwd: Path, tmp_path: Path, key: str) -> None:
    """The one thing that people fear over SSH."""
    run = FakeRun(tmp_path / "run")
    run.train(5, 100)
    app = app_of(cwd, run=run.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Safe to disconnect" in screen_text(app))
        await pilot.press(key)
        await until(pilot, lambda: not app.is_running or app.return_code == 0)
    assert run.folder.alive() and not run.folder.stop_file.exists()
    assert any("attach" in line for line in app.last_words())
    run.die()


async def test_the_rail_follows_the_run_and_enter_goes_on_to_the_chat(cwd: Path, tmp_path: Path) -> None:
    """Training, then merge, without a key; only the end waits for Enter."""
    run = FakeRun(tmp_path / "run")
    run.train(5, 10)
    app = app_of(cwd, run=run.folder, chat=lambda source: None)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "> Training" in screen_text(app))
        await pilot.press("enter", "escape")
        assert app.at == "training"
        run.phase("merging")
        await until(pilot, lambda: "> Merge" in screen_text(app))
        run.finish(adapter="/a", merged="/m")
        await until(pilot, lambda: "Enter: talk to it" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.at == "chat")


@dataclass
class ResumingDesk(FakeDesk):
    """resumed: what a resume gives back, or the problem it raises."""

    resumed: Started | Problem | None = None
    asked_for: list[tuple[Path, Retry]] = field(default_factory=list)

    def resume(self, run: RunFolder, retry: Retry, progress: Progress) -> Started:
        """Canned."""
        self.asked_for.append((run.path, retry))
        progress(Phrase("Reading {file}", {"file": "x"}), 0, 0)
        if isinstance(self.resumed, Problem):
            raise ProblemError(self.resumed)
        assert self.resumed is not None
        return self.resumed


@pytest.mark.parametrize(("what", "key"), [(stopped, "enter"), (crashed, "r"), (disk_full, "2")])
async def test_a_run_goes_on_from_its_own_screen(
    cwd: Path, tmp_path: Path, what: Callable[[FakeRun], None], key: str
) -> None:
    """Nobody has to remember a command to go on."""
    again = FakeRun(tmp_path / "again")
    again.train(70, 120)
    desk = ResumingDesk(resumed=Started(again.folder, CONFIG, {}))
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, what))
        await pilot.press(key)
        await until(pilot, lambda: "step 70 of 120" in screen_text(app))
        assert desk.asked_for == [(HOME, Retry())]
    again.die()


async def test_a_resume_that_is_refused_says_why(cwd: Path, tmp_path: Path) -> None:
    """The folder is in use, the model gone: the screen stays and tells."""
    desk = ResumingDesk(resumed=Problem("still_alive", {"run": "x"}))
    app = app_of(cwd, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, stopped))
        await pilot.press("enter")
        await until(pilot, lambda: "still going" in screen_text(app))


async def test_back_to_the_answers_after_a_failure(cwd: Path, tmp_path: Path) -> None:
    """Out of memory: the answers are kept, one is changed, Start begins anew. Of another's run there are no answers."""
    app = app_of(cwd, answers={"train.lora_rank": 4})
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, out_of_memory), started=None)
        assert "change answers" not in screen_text(app)
        await pilot.press("b")
        assert app.at == "training"
        app.started = OURS
        await pilot.press("b")
        await until(pilot, lambda: app.at == "review")
        assert app.wizard.value("train.lora_rank") == 4


async def test_hostile_text_is_shown_and_does_nothing(cwd: Path, tmp_path: Path) -> None:
    """Logs, problems and warnings hold whatever a data set or a library put there."""
    run = FakeRun(tmp_path / "run")
    run.train(5, 100)
    run.phase(HOSTILE)
    run.events.write("progress", done=1, total=2, unit=HOSTILE)
    run.events.write("warning", code=HOSTILE, params={"x": HOSTILE}, severity="warning")
    run.log(HOSTILE, HOSTILE)
    app = app_of(cwd, run=run.folder)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: "[/x]" in screen_text(app))
        await pilot.press("l")
        await pilot.pause()
        assert "\x1b" not in screen_text(app) and "\u202e" not in screen_text(app)
        run.fail("internal", type=HOSTILE, reason=HOSTILE, file=HOSTILE)
        await until(pilot, lambda: "What happened" in screen_text(app))
        assert "\x1b" not in screen_text(app) and "\u202e" not in screen_text(app)


async def test_help_tells_the_keys_that_the_footer_has_no_room_for(cwd: Path, tmp_path: Path) -> None:
    app = app_of(cwd)
    async with app.run_test(size=(80, 24)) as pilot:
        await put(pilot, seen_after(tmp_path, training))
        await pilot.press("question_mark")
        await until(pilot, lambda: "the loss on a logarithmic scale" in screen_text(app))
        assert "after a failure: do that one" in screen_text(app)
