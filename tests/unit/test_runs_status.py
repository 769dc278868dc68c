"""What a run's state is said to be: nobody kills, resumes or deletes on the strength of a wrong one."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.runs.events import EventLog
from engine.runs.folder import RunFolder
from engine.runs.lock import FolderLock, Holder, Place, heartbeat_age, held
from engine.runs.status import TAIL_BYTES, status

HERE = Place("node1", "boot-b", "pid:[1]", booted=1_000_000.0)
NOW = 2_000_000.0
OURS = Holder(77, 1.0, "boot-b", "node1", "run", "pid:[1]")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder.create(tmp_path / "logs", "x", {"steps": ["train"]})
    os.utime(made.config_file, (NOW, NOW))
    return made


@pytest.fixture
def locked(run: RunFolder) -> Iterator[RunFolder]:
    """A live process holds the lock of `run`."""
    lock = FolderLock.take(run.lock_file, OURS)
    beat(run, 3)
    yield run
    lock.release()


def beat(run: RunFolder, age: float) -> None:
    os.utime(run.lock_file, (NOW - age, NOW - age))


def left(run: RunFolder, holder: Holder, age: float = 3) -> None:
    """The lock file of a process that holds it no more, or holds it where flock does not reach."""
    run.lock_file.write_text(json.dumps(asdict(holder)))
    beat(run, age)


def seen(run: RunFolder, here: Place = HERE) -> tuple[str, bool]:
    found = status(run, here=here, clock=lambda: NOW)
    return found.state, found.alive


@pytest.mark.parametrize(
    ("noted", "state"),
    [
        ("starting", "starting"),
        ("running", "running"),
        ("stopping", "stopping"),
        (None, "running"),
        ("dancing", "running"),
    ],
)
def test_a_held_lock_is_a_live_run(locked: RunFolder, noted: str | None, state: str) -> None:
    """Whatever state.json says, or whether it can be read at all."""
    locked.update_state(state=noted)
    assert seen(locked) == (state, True)
    found = status(locked, here=HERE, clock=lambda: NOW)
    assert (found.host, found.pid, found.heartbeat_age) == ("node1", 77, 3)


@pytest.mark.parametrize(
    "there",
    [
        replace(HERE, host="node2"),
        replace(HERE, boot_id="boot-c"),
        replace(HERE, pid_namespace="pid:[2]"),
    ],
    ids=["host", "boot", "namespace"],
)
def test_a_lock_held_in_another_place_is_alive_there(locked: RunFolder, there: Place) -> None:
    """Its pid means another process here: stop must not send it a signal."""
    locked.update_state(state="running")
    assert seen(locked, there) == ("elsewhere", True)


def test_a_lock_taken_a_moment_ago_without_its_note_is_alive(run: RunFolder) -> None:
    lock = FolderLock.take(run.lock_file, OURS)
    run.lock_file.write_text("")
    assert seen(run) == ("starting", True)
    lock.release()


@pytest.mark.parametrize("holder", [OURS, replace(OURS, host="node2"), None], ids=["here", "other host", "no lock"])
@pytest.mark.parametrize(
    ("event", "state"),
    [
        ({"kind": "finished", "outcome": "done"}, "finished"),
        ({"kind": "finished", "outcome": "stopped"}, "stopped"),
        ({"kind": "failed", "code": "oom"}, "failed"),
    ],
)
def test_a_closing_event_has_the_last_word(
    run: RunFolder, holder: Holder | None, event: dict[str, Any], state: str
) -> None:
    """Also where state.json could not be written any more, and wherever the run was."""
    if holder:
        left(run, holder)
    run.update_state(state="running")
    EventLog(run.events_file).write(**event)
    assert seen(run) == (state, False)


@pytest.mark.parametrize("state", ["finished", "stopped", "failed", "crashed"])
def test_a_final_state_counts_without_an_event(run: RunFolder, state: str) -> None:
    left(run, replace(OURS, host="node2"))
    run.update_state(state=state)
    assert seen(run) == (state, False)


def test_dead_here_without_a_last_word_is_crashed(run: RunFolder) -> None:
    left(run, OURS)
    run.update_state(state="running")
    assert seen(run) == ("crashed", False)


def test_a_process_that_lost_its_lock_is_alive(run: RunFolder) -> None:
    """An NFS server that was away for a minute forgets locks: resume would start a second training beside the first."""
    run.update_state(state="running")
    with subprocess.Popen(["sleep", "60"]) as process:
        me = Holder.this_process(run.id)
        started = psutil.Process(process.pid).create_time()
        left(run, replace(me, pid=process.pid, started=started))
        assert seen(run, Place.here()) == ("running", True)
        left(run, replace(me, pid=process.pid, started=started - 1000))  # a later process with that pid
        assert seen(run, Place.here()) == ("crashed", False)
        left(run, replace(me, pid=process.pid, started=started))
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie, as under a wizard that is still open
        assert seen(run, Place.here()) == ("crashed", False)


def test_a_lock_of_an_early_version_still_reads(run: RunFolder) -> None:
    """It has no pid namespace; host and boot decide."""
    raw = {name: value for name, value in asdict(OURS).items() if name != "pid_namespace"}
    run.lock_file.write_text(json.dumps(raw))
    beat(run, 3)
    assert seen(run) == ("crashed", False)
    assert seen(run, replace(HERE, host="node2"))[0] == "elsewhere"


@pytest.mark.parametrize(
    ("last_beat", "state"),
    [(HERE.booted - 1, "crashed"), (HERE.booted + 1, "elsewhere")],
)
def test_after_a_reboot(run: RunFolder, last_beat: float, state: str) -> None:
    """A heartbeat after our boot comes from another machine of the same name."""
    left(run, replace(OURS, boot_id="boot-a"), NOW - last_beat)
    assert seen(run)[0] == state


@pytest.mark.parametrize(("age", "alive"), [(3, True), (60, True), (3600, False)])
@pytest.mark.parametrize(
    "holder",
    [replace(OURS, host="node2", boot_id="boot-x"), replace(OURS, pid_namespace="pid:[9]")],
    ids=["other host", "other container"],
)
def test_elsewhere_is_never_called_crashed(run: RunFolder, holder: Holder, age: float, alive: bool) -> None:
    """flock need not reach across NFS or containers: a silent run may go on, and must not be resumed beside itself."""
    left(run, holder, age)
    found = status(run, here=HERE, clock=lambda: NOW)
    assert (found.state, found.heartbeat_age, found.alive) == ("elsewhere", age, alive)


@pytest.mark.parametrize(("age", "expected"), [(5, ("starting", True)), (61, ("crashed", False))])
def test_a_worker_that_never_took_the_lock(run: RunFolder, age: float, expected: tuple[str, bool]) -> None:
    """It is starting, until nobody can believe that any more."""
    os.utime(run.config_file, (NOW - age, NOW - age))
    assert seen(run) == expected
    assert status(run, here=HERE, clock=lambda: NOW).heartbeat_age is None


def test_a_clock_that_runs_ahead_is_no_negative_age(run: RunFolder) -> None:
    left(run, replace(OURS, host="node2"), age=-500)
    assert status(run, here=HERE, clock=lambda: NOW).heartbeat_age == 0


def test_a_folder_that_is_gone_is_a_crashed_run(tmp_path: Path) -> None:
    """Deleted while somebody looks: no traceback."""
    assert seen(RunFolder(tmp_path / "nowhere")) == ("crashed", False)


def test_the_last_step_is_found_behind_what_came_after_it(run: RunFolder) -> None:
    """A list that shows no loss once the merge has begun hides what one looks for in it."""
    log = EventLog(run.events_file)
    log.write("step", step=6, total=9, loss=3.0)
    log.write("step", step=7, total=9, loss=1.5)
    for done in range(2000):
        log.write("progress", done=done, total=2000, unit="bytes")
    with run.events_file.open("ab") as stream:
        stream.write(b'{"v":1,"seq":99,"type":"step","step":8')  # torn
    found = status(run, here=HERE, clock=lambda: NOW)
    assert (found.step, found.total, found.loss) == (7, 9, 1.5)


def test_words_in_a_sample_are_not_taken_for_events(run: RunFolder) -> None:
    """A model that was trained on our event logs may well answer with one."""
    log = EventLog(run.events_file)
    log.write("step", step=1, total=9, loss=2.0)
    log.write("sample", question="?", base="", tuned='{"type":"step","step":5} "type":"finished"')
    left(run, OURS)
    found = status(run, here=HERE, clock=lambda: NOW)
    assert (found.step, found.state) == (1, "crashed")


def test_only_the_end_of_a_long_history_is_read(run: RunFolder) -> None:
    """`runs` must not take longer with every run that somebody ever trained."""
    with run.events_file.open("wb") as stream:
        stream.write(b"x" * (64 * TAIL_BYTES))
        stream.write(b'\n{"v":1,"seq":1,"type":"step","step":5,"total":9,"loss":null}\n')
    found = status(run, here=HERE, clock=lambda: NOW)
    assert (found.step, found.loss) == (5, None)


# Filesystems without flock


def no_flock(fd: int, operation: int) -> None:
    raise OSError(38, "Function not implemented")  # ENOSYS, as Lustre without -o flock says


def test_without_flock_the_note_of_a_live_process_holds(tmp_path: Path) -> None:
    """On such a cluster every run would otherwise be refused as in use."""
    path = tmp_path / "run.lock"
    me = Holder.this_process("x")
    assert not held(path, no_flock)
    FolderLock.take(path, me, no_flock).release()
    assert held(path, no_flock)  # we live
    path.write_text(json.dumps(asdict(replace(me, started=me.started - 100))))
    assert not held(path, no_flock)  # a later process with that pid
    FolderLock.take(path, me, no_flock).release()


def test_without_flock_the_heartbeat_tells_of_other_machines(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    path.write_text(json.dumps(asdict(replace(OURS, host="node2"))))
    assert held(path, no_flock)
    old = time.time() - 3600
    os.utime(path, (old, old))
    assert not held(path, no_flock)
    assert heartbeat_age(path) == pytest.approx(3600, abs=60)
