"""Run folders and locks: what is private stays so, and nobody is told that a living run is dead or a dead one alive."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.errors import EnvironmentProblem
from engine.messages import render
from engine.runs.folder import RunFolder, slugify
from engine.runs.lock import FolderLock, Holder, boot_id, held, read_holder
from engine.storage import staged_folder, write_json, write_whole

HOLD = """
import sys, time
from pathlib import Path
from engine.runs.lock import FolderLock, Holder
lock = FolderLock.take(Path(sys.argv[1]), Holder.this_process("their-run"))
print("held", flush=True)
time.sleep(60)
"""


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_run_folder_is_private_whole_and_linked(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "logs", "my run", {"version": 1, "steps": ["train"], "text": "1e-4"})
    assert run.id.endswith("-my-run")
    assert mode(tmp_path / "logs") == mode(run.path) == 0o700
    assert {mode(run.path / name) for name in ("config.yaml", "state.json", "train.log")} == {0o600}
    assert run.config() == {"version": 1, "steps": ["train"], "text": "1e-4"}
    assert run.state()["state"] == "starting"
    assert not run.alive()
    link = tmp_path / "logs" / "train.log"
    assert not link.readlink().is_absolute()
    assert link.resolve() == run.log_file


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    runs = [RunFolder.create(tmp_path, "x", {"n": index}) for index in range(5)]
    assert len({run.path for run in runs}) == 5
    assert [run.config()["n"] for run in runs] == list(range(5))
    assert (tmp_path / "train.log").resolve() == runs[-1].log_file


def test_a_file_named_train_log_gives_way_to_the_link(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, "x", {})
    assert (tmp_path / "train.log").is_symlink()
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("text", "name"), [("a/b c", "a-b-c"), ("../..", "run"), ("", "run"), ("你 好", "你-好"), ("x" * 90, "x" * 40)]
)
def test_names_are_safe_in_paths(text: str, name: str) -> None:
    assert slugify(text) == name


def test_state_is_changed_by_member(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "x", {})
    run.update_state(state="running", pid=1)
    run.update_state(state="stopped")
    assert (run.state()["state"], run.state()["pid"], run.state()["run"]) == ("stopped", 1, run.id)
    run.state_file.write_text("{half")
    assert run.state() == {}


def test_the_end_of_a_log(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "x", {})
    assert run.log_tail() == []
    run.log_file.write_bytes(b"first\n" + b"x" * 20_000 + b"\n\xff broken\nlast\n")
    assert run.log_tail(2) == ["\ufffd broken", "last"]
    run.log_file.unlink()
    assert run.log_tail() == []


def test_a_lock_is_held_by_one_and_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    assert not held(path)
    lock = FolderLock.take(path, Holder.this_process("mine"))
    assert held(path)
    assert read_holder(path) == Holder.this_process("mine")
    assert read_holder(path).boot_id == boot_id()  # type: ignore[union-attr]
    with pytest.raises(EnvironmentProblem) as caught:
        FolderLock.take(path, Holder.this_process("second"))
    (problem,) = caught.value.problems
    assert (problem.code, problem.params["run"], problem.params["pid"]) == ("in_use", "mine", os.getpid())
    assert "sft-wizard stop mine" in render(problem)
    assert read_holder(path).run == "mine"  # type: ignore[union-attr]
    lock.release()
    assert not held(path)
    FolderLock.take(path, Holder.this_process("third")).release()


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        assert held(path)
        holder = read_holder(path)
        assert holder and (holder.pid, holder.run) == (other.pid, "their-run")
        other.kill()
    assert not held(path)
    assert read_holder(path) == holder  # who it was can still be told


def test_those_who_look_do_not_keep_a_run_from_starting(tmp_path: Path) -> None:
    """A list of runs that refreshes at the wrong moment would otherwise end a run with `in use`."""
    path = tmp_path / "run.lock"
    FolderLock.take(path, Holder.this_process("x")).release()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            held(path)

    watchers = [threading.Thread(target=look) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(100):
            FolderLock.take(path, Holder.this_process("x")).release()
    finally:
        done.set()
        for watcher in watchers:
            watcher.join()


def test_a_lock_file_without_a_note_still_counts(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    lock = FolderLock.take(path, Holder.this_process("x"))
    path.write_text("")
    with pytest.raises(EnvironmentProblem) as caught:
        FolderLock.take(path, Holder.this_process("y"))
    assert caught.value.problems[0].params["pid"] == "?"
    lock.release()


def test_a_write_is_whole_or_not_there(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_json(file, {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(file, {"a": float("nan")})
    assert file.read_text() == '{\n  "a": 1\n}\n'
    assert mode(file) == 0o600
    with pytest.raises(IsADirectoryError):
        (tmp_path / "folder").mkdir()
        write_whole(tmp_path / "folder", "x")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "state.json"]


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    file = tmp_path / "big"
    texts = {"a" * 2_000_000, "b" * 2_000_000}
    write_whole(file, "a" * 2_000_000)
    end = time.monotonic() + 0.5

    def write() -> None:
        while time.monotonic() < end:
            for text in texts:
                write_whole(file, text)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert file.read_text() in texts
    writer.join()


def test_a_staged_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with pytest.raises(RuntimeError), staged_folder(target) as stage:
        (stage / "half").write_text("x")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    with staged_folder(target) as stage:
        (stage / "whole").write_text("x")
        assert not target.exists()
    assert [entry.name for entry in target.iterdir()] == ["whole"]
    assert [entry.name for entry in target.parent.iterdir()] == ["model"]
