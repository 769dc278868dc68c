"""The snapshot that screens draw: complete, cheap, and never an exception while somebody watches."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from engine.errors import Problem
from engine.runs.events import EventLog
from engine.runs.folder import RunFolder
from engine.runs.lock import FolderLock, Holder, Place
from engine.runs.logs import LogReader, plain_lines
from engine.runs.view import AGE_STEP, RunView, Snapshot

HERE = Place("node1", "boot", "pid:[1]", booted=0.0)
OURS = Holder(77, 1.0, "boot", "node1", "run", "pid:[1]")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "logs", "x", {"name": "my project", "steps": ["train", "merge"]})


@pytest.fixture
def log(run: RunFolder) -> EventLog:
    return EventLog(run.events_file)


def now(run: RunFolder) -> Snapshot:
    return RunView(run, here=HERE).poll()


def test_a_run_that_has_not_begun(run: RunFolder) -> None:
    seen = now(run)
    assert (seen.run, seen.name, seen.steps, seen.step_now) == (run.id, "my project", ("train", "merge"), "train")
    assert (seen.phase, seen.loss, seen.losses, seen.problems, seen.outcome) == ("", None, (), (), "")
    assert seen.status.state == "starting"


def test_a_whole_run(run: RunFolder, log: EventLog) -> None:
    """Every line of the screen has its source."""
    lock = FolderLock.take(run.lock_file, OURS)
    run.update_state(state="running", step="train")
    log.write("run_started", run=run.id, steps=["train", "merge", "answers"], pid=1, versions={})
    log.write("phase", name="tokenising")
    log.write("progress", done=5, total=10, unit="rows")
    view = RunView(run, here=HERE)
    seen = view.poll()
    assert (seen.phase, seen.done, seen.total, seen.unit) == ("tokenising", 5, 10, "rows")
    log.write("log", what="data", samples=10, rows={})
    log.write("warning", code="step_padded", params={"reason": "x"}, severity="warning")
    log.write("phase", name="training", step=4, total=8)
    seen = view.poll()
    assert (seen.done, seen.total, seen.unit, seen.step, seen.steps_total) == (4, 8, "steps", 4, 8)
    for step, loss in ((5, 3.0), (6, 1.0)):
        values = {"lr": 1e-4, "epoch": 0.5, "tokens": 9, "rows": 1, "tokens_per_second": 99.0, "eta": 12.0}
        log.write("step", step=step, total=8, loss=loss, **values)
    log.write("eval", step=6, loss=2.5)
    log.write("checkpoint", step=6, path="/c")
    log.write("log", what="memory", peak_bytes={"resident": 5, "allocated": 7, "reserved": 9})
    seen = view.poll()
    assert seen.losses == ((5, 3.0), (6, 1.0))
    # by hand: (0.1 * 3) / (1 - 0.9) and (0.9 * 0.3 + 0.1 * 1) / (1 - 0.81)
    assert seen.smoothed == ((5, pytest.approx(3.0)), (6, pytest.approx(0.37 / 0.19)))
    assert (seen.loss, seen.evals, seen.checkpoint, seen.peak_bytes) == (1.0, ((6, 2.5),), 6, 7)
    assert (seen.learning_rate, seen.tokens_per_second, seen.eta, seen.epoch) == (1e-4, 99.0, 12.0, 0.5)
    assert (seen.status.step, seen.status.total, seen.status.loss) == (6, 8, 1.0)
    assert seen.warnings == (Problem("step_padded", {"reason": "x"}, severity="warning"),)
    assert seen.facts["data"]["samples"] == 10
    log.write("phase", name="merging")
    seen = view.poll()
    assert (seen.step_now, seen.tokens_per_second, seen.eta, seen.step) == ("merge", None, None, 6)
    log.write("proof", method="logits", passed=True)
    log.write("phase", name="answering")
    log.write("sample", question="q", base="b", tuned="t")
    log.write("finished", outcome="done", outputs={"adapter": "/a"})
    run.update_state(state="finished")
    lock.release()
    seen = view.poll()
    assert (seen.step_now, seen.outcome, seen.outputs) == ("answers", "done", {"adapter": "/a"})
    assert seen.proof and seen.proof["passed"]
    assert [sample["tuned"] for sample in seen.samples] == ["t"]
    assert seen.status.state == "finished"


def test_how_long_each_phase_took(run: RunFolder) -> None:
    """The one that goes on has no end; of a run that is over the last word, or the last sign of life, ends it."""
    clock = Clock()
    log = EventLog(run.events_file, clock=clock)
    log.write("run_started", run=run.id, steps=["train"], pid=1, versions={})
    for seconds, name in ((17, "tokenising"), (2, "loading")):
        clock.now += seconds
        log.write("phase", name=name)
    lock = FolderLock.take(run.lock_file, OURS)
    run.update_state(state="running")
    seen = now(run)
    assert [(phase.name, phase.ended) for phase in seen.phases] == [
        ("", 1017.0),
        ("tokenising", 1019.0),
        ("loading", None),
    ]
    assert seen.phases[2].seconds(1024.0) == 5 and seen.phases[2].seconds(1000.0) == 0  # another machine's clock
    assert seen.elapsed is None and replace(seen, now=1024.0).elapsed == 24
    clock.now += 30
    log.write("log", what="model", device="cpu")
    lock.release()
    seen = now(run)
    assert seen.status.state == "crashed" and seen.phases[2].ended == 1049.0 and seen.elapsed == 49
    log.write("finished", outcome="stopped", outputs={})
    assert now(run).elapsed == 49


def test_why_it_failed(run: RunFolder, log: EventLog) -> None:
    also = [Problem("rows_dropped", {"count": 1}).as_dict()]
    log.write("failed", **Problem("oom", {"reason": "x"}).as_dict(), also=also, exit_code=1)
    seen = now(run)
    assert [problem.code for problem in seen.problems] == ["oom", "rows_dropped"]
    assert (seen.outcome, seen.status.state) == ("failed", "failed")


@pytest.mark.parametrize(
    ("holder", "how", "code"),
    [
        (OURS, "SIGKILL", "crashed"),
        (OURS, None, "crashed_unseen"),
        (replace(OURS, boot_id="a"), None, "crashed_reboot"),
    ],
)
def test_why_it_crashed(run: RunFolder, holder: Holder, how: str | None, code: str) -> None:
    """As much as is known: who saw it die, or that the machine was restarted."""
    run.lock_file.write_text(json.dumps(asdict(holder)))
    os.utime(run.lock_file, (10, 10))
    run.update_state(state="crashed" if how else "running", **({"how": how} if how else {}))
    seen = RunView(run, here=replace(HERE, booted=100.0)).poll()
    assert (seen.status.state, [problem.code for problem in seen.problems]) == ("crashed", [code])
    assert seen.problems[0].params["log"] == str(run.log_file)


def test_a_loss_that_is_no_number_leaves_a_gap(run: RunFolder, log: EventLog) -> None:
    """A curve must not fall to zero, nor the mean be poisoned by it."""
    for step, loss in ((1, 2.0), (2, float("nan")), (3, 2.0)):
        log.write("step", step=step, total=3, loss=loss)
    seen = now(run)
    assert [step for step, _ in seen.losses] == [1, 3]
    assert seen.smoothed[-1] == (3, pytest.approx(2.0))
    log.write("step", step=4, total=4, loss=float("inf"))
    assert now(run).loss is None


def test_half_a_line_waits_for_its_rest(run: RunFolder, log: EventLog) -> None:
    log.write("step", step=1, total=3, loss=2.0)
    view = RunView(run, here=HERE)
    with run.events_file.open("ab") as stream:
        stream.write(b'{"v":1,"seq":1,"t":1,"type":"step","step":2,"total":3,')
        stream.flush()
        assert view.poll().step == 1
        stream.write(b'"loss":1.0}\n')
    assert view.poll().losses == ((1, 2.0), (2, 1.0))


def test_events_of_other_versions_are_no_obstacle(run: RunFolder) -> None:
    """An old viewer on a new run, or a run that somebody edited."""
    lines = [
        "garbage",
        '{"v":9,"seq":0,"type":"later","x":1}',
        '{"v":1,"seq":1,"type":"step"}',
        '{"v":1,"seq":2,"type":"phase"}',
        '{"v":1,"seq":3,"type":"log"}',
        '{"v":1,"seq":4,"type":"warning"}',
        '{"v":1,"seq":5,"type":"eval"}',
        '{"v":1,"seq":6,"type":"progress"}',
        '{"v":1,"seq":7,"type":"run_started"}',
        '{"v":1,"seq":8,"type":"failed"}',
    ]
    run.events_file.write_text("\n".join(lines) + "\n")
    assert now(run).outcome == "failed"


def test_nothing_new_is_the_same_object(run: RunFolder, log: EventLog) -> None:
    """A screen over SSH redraws only what is another object: an idle run must cost nothing."""
    clock = Clock()
    lock = FolderLock.take(run.lock_file, OURS)
    run.update_state(state="running")
    log.write("step", step=1, total=3, loss=2.0)
    view = RunView(run, clock=clock, here=HERE)
    first = view.poll()
    clock.now += 500
    assert view.poll() is first
    changes: list[Callable[[], object]] = [
        lambda: log.write("progress", done=1, total=2, unit="rows"),
        lambda: run.update_state(state="stopping"),
        lambda: run.update_state(outputs={"adapter": "/a"}),
        lambda: run.log_file.write_text("a line\n"),
        lock.release,
    ]
    for change in changes:
        before = view.poll()
        change()
        assert view.poll() is not before
        assert view.poll() is view.poll()


def test_elsewhere_the_age_of_the_heartbeat_is_news(run: RunFolder) -> None:
    """It is all that tells whether a run on another machine lives."""
    run.lock_file.write_text(json.dumps(asdict(replace(OURS, host="node2"))))
    os.utime(run.lock_file, (995, 995))
    run.update_state(state="running")
    clock = Clock()
    view = RunView(run, clock=clock, here=HERE)
    first = view.poll()
    assert (first.status.state, first.status.heartbeat_age) == ("elsewhere", 5.0)
    clock.now += AGE_STEP
    assert view.poll() is not first
    assert view.poll().status.heartbeat_age == 5.0 + AGE_STEP


def test_the_phase_of_a_silent_run_elsewhere_has_not_ended(run: RunFolder, log: EventLog) -> None:
    """Silence proves nothing: its machine may be the one that is not heard."""
    run.lock_file.write_text(json.dumps(asdict(replace(OURS, host="node2"))))
    log.write("run_started", run=run.id, steps=["train"], pid=1, versions={})
    log.write("phase", name="training", step=0, total=9)
    os.utime(run.lock_file, (10, 10))
    seen = now(run)
    assert (seen.status.state, seen.status.alive, seen.over) == ("elsewhere", False, False)
    assert [phase.ended is None for phase in seen.phases] == [False, True]


def test_a_folder_that_disappears_is_a_crashed_run(run: RunFolder, log: EventLog) -> None:
    """Somebody deletes the project while another watches."""
    log.write("step", step=1, total=3, loss=2.0)
    view = RunView(run, here=HERE)
    view.poll()
    shutil.rmtree(run.path)
    seen = view.poll()
    assert (seen.status.state, seen.losses, seen.log_tail) == ("crashed", ((1, 2.0),), ())
    never = RunView(RunFolder(run.path / "deeper"), here=HERE).poll()
    assert (never.name, never.steps, never.status.state) == ("deeper", (), "crashed")


def test_a_snapshot_does_not_change_afterwards(run: RunFolder, log: EventLog) -> None:
    log.write("step", step=1, total=3, loss=2.0)
    view = RunView(run, here=HERE)
    first = view.poll()
    log.write("step", step=2, total=3, loss=1.0)
    log.write("log", what="memory", peak_bytes={"resident": 5})
    assert view.poll().losses == ((1, 2.0), (2, 1.0))
    assert (first.losses, first.facts) == (((1, 2.0),), {})


# The log


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"\x1b[31mred\x1b[0m \x1b]0;title\x07text\x1b(B\n", ["red text"]),
        (b" 10%|#   |\r 50%|##  |\r100%|####|\n", ["100%|####|"]),
        (b"crlf\r\nnext\r\n", ["crlf", "next"]),
        (b"\x1b]52;c;ZXZpbA==\x1b\\stolen clipboard\n", ["stolen clipboard"]),
        ("\u202eevil\u200b\x9b2J\n".encode(), ["\\u202eevil\\u200b\\x9b2J"]),
        (b"\xff broken\n", ["\ufffd broken"]),
        (b"", []),
        (b"\n\nx", ["", "", "x"]),
    ],
)
def test_a_log_is_plain_text(raw: bytes, lines: list[str]) -> None:
    """What a library or a model prints must not reach the terminal as commands."""
    assert plain_lines(raw) == lines


def test_a_log_is_read_as_it_grows(tmp_path: Path) -> None:
    file = tmp_path / "train.log"
    reader = LogReader(file)
    assert reader.poll() == []
    file.write_bytes(b"one\ntw")
    assert reader.poll() == ["one"]
    with file.open("ab") as stream:
        stream.write(b"o\nlast")
    assert reader.poll() == ["two"]
    assert reader.poll(ended=True) == ["last"]


def test_the_end_of_the_log_is_on_the_snapshot(run: RunFolder) -> None:
    run.log_file.write_bytes(b"\x1b[1mloading\x1b[0m\n 1%\r 100%\n")
    assert now(run).log_tail == ("loading", " 100%")
