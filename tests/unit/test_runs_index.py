"""Finding runs: by id, beginning or path, from any directory, whatever became of their folders."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.runs import index
from engine.runs.folder import RunFolder
from engine.runs.lock import FolderLock, Holder

pytestmark = pytest.mark.usefixtures("private_home")


def make(logs: Path, name: str, *, noted: bool = True, old: bool = True) -> RunFolder:
    run = RunFolder.create(logs, name, {"steps": []})
    if old:  # else it counts as starting
        os.utime(run.config_file, (1, 1))
    if noted:
        index.note(run)
    return run


def rename(run: RunFolder, name: str) -> RunFolder:
    index.forget(run)
    moved = RunFolder(run.path.rename(run.path.with_name(name)))
    index.note(moved)
    return moved


def refusal(given: str | None, cwd: Path, **options: bool) -> tuple[str, list[str]]:
    with pytest.raises(ConfigError) as caught:
        index.find(given, cwd, **options)
    problem = caught.value.problems[0]
    return problem.code, problem.params.get("runs", [])


def test_runs_of_all_projects_newest_first(tmp_path: Path) -> None:
    a, b = make(tmp_path / "a/logs", "x"), make(tmp_path / "b/logs", "y")
    a, b = rename(a, "20260101T000000-x"), rename(b, "20270101T000000-y")
    assert [run.id for run in index.known(tmp_path)] == [b.id, a.id]


def test_the_project_one_stands_in_needs_no_index(tmp_path: Path) -> None:
    """A project copied from another machine, or a home that was read-only."""
    run = make(tmp_path / "logs", "x", noted=False)
    noted = make(tmp_path / "logs", "y")
    (tmp_path / "logs/notes").mkdir()
    assert {found.id for found in index.known(tmp_path)} == {run.id, noted.id}
    assert [found.id for found in index.known(tmp_path / "logs")] == [noted.id]


def test_the_index_is_private(tmp_path: Path, private_home: Path) -> None:
    """Names of projects are nobody else's business."""
    make(tmp_path, "x")
    (entry,) = (private_home / "state/sft-wizard/runs").iterdir()
    assert entry.stat().st_mode & 0o777 == 0o600
    assert entry.parent.stat().st_mode & 0o777 == 0o700


def test_a_deleted_run_is_dropped_and_a_disk_that_is_away_is_waited_for(tmp_path: Path, private_home: Path) -> None:
    gone, away = make(tmp_path / "logs", "gone"), make(tmp_path / "disk/logs", "away")
    shutil.rmtree(gone.path)
    (tmp_path / "disk").rename(tmp_path / "elsewhere")
    assert index.known(tmp_path) == []
    (entry,) = (private_home / "state/sft-wizard/runs").iterdir()
    (tmp_path / "elsewhere").rename(tmp_path / "disk")
    assert [run.id for run in index.known(tmp_path)] == [away.id]
    (tmp_path / "disk").rename(tmp_path / "elsewhere")
    long_ago = time.time() - index.KEEP_SECONDS - 1
    os.utime(entry, (long_ago, long_ago))
    assert index.known(tmp_path) == []
    assert not entry.exists()


def test_damaged_entries_are_passed_over(tmp_path: Path, private_home: Path) -> None:
    run = make(tmp_path, "x")
    folder = private_home / "state/sft-wizard/runs"
    for number, text in enumerate(["", "{", "[]", '{"path": 5}', "{}"]):
        (folder / f"{number}.json").write_text(text)
    assert [found.id for found in index.known(tmp_path / "none")] == [run.id]


def test_many_may_note_at_once(tmp_path: Path) -> None:
    """A sweep of twenty jobs starts in the same second."""
    runs = [make(tmp_path / f"{number}/logs", "x", noted=False) for number in range(20)]
    threads = [threading.Thread(target=index.note, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {run.path for run in index.known(tmp_path)} == {run.path for run in runs}


def test_a_home_that_cannot_be_written_to_does_not_stop_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    run = make(tmp_path / "logs", "x")
    assert [found.id for found in index.known(tmp_path)] == [run.id]
    index.forget(run)


def test_a_run_is_found_by_id_beginning_and_path(tmp_path: Path) -> None:
    run = rename(make(tmp_path / "a/logs", "x"), "20260101T000000-x")
    other = rename(make(tmp_path / "a/logs", "y"), "20260102T000000-y")
    for given in (run.id, "20260101", str(run.path), f"{run.path}/", "a/logs/20260101T000000-x"):
        assert index.find(given, tmp_path).id == run.id
    assert refusal("2026", tmp_path) == ("run_ambiguous", [other.id, run.id])
    assert refusal("1999", tmp_path) == ("run_unknown", [other.id, run.id])
    assert refusal("", tmp_path)[0] == "run_unknown"
    assert refusal("a/logs", tmp_path)[0] == "run_unknown"


def test_a_project_is_no_run(tmp_path: Path) -> None:
    """`runs rm my_project` must not delete a project, whatever files stand in it."""
    make(tmp_path / "a/logs", "x")
    project = tmp_path / "project"
    project.mkdir()
    (project / "config.yaml").write_text("train: x.yaml\n")
    for text in ("{}", "[]", '{"state": "x"}', "run"):
        (project / "state.json").write_text(text)
        assert refusal("project", tmp_path)[0] == "run_unknown"


def test_an_id_that_begins_another_is_itself(tmp_path: Path) -> None:
    """Runs of the same second are named x and x-2."""
    first, second = make(tmp_path / "logs", "x"), make(tmp_path / "logs", "x")
    if second.id.startswith(first.id):
        assert index.find(first.id, tmp_path).path == first.path


def test_copies_of_a_run_are_told_apart_by_path(tmp_path: Path) -> None:
    run = make(tmp_path / "a/logs", "x")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copy = RunFolder(tmp_path / "b/logs" / run.id)
    index.note(copy)
    code, shown = refusal(run.id, tmp_path)
    assert (code, set(shown)) == ("run_ambiguous", {str(run.path), str(copy.path)})


def test_without_a_name_the_live_one_is_meant(tmp_path: Path) -> None:
    """`stop` with several live runs must ask; `attach` may take the newest."""
    assert refusal(None, tmp_path) == ("no_runs", [])
    assert refusal("x", tmp_path) == ("no_runs", [])
    old = rename(make(tmp_path / "logs", "x"), "20260101T000000-x")
    new = rename(make(tmp_path / "logs", "y"), "20260102T000000-y")
    assert index.find(None, tmp_path).id == new.id
    lock = FolderLock.take(old.lock_file, Holder.this_process(old.id))
    assert index.find(None, tmp_path).id == old.id
    assert index.find(None, tmp_path, sole=True).id == old.id
    second = FolderLock.take(new.lock_file, Holder.this_process(new.id))
    assert index.find(None, tmp_path).id == new.id
    assert refusal(None, tmp_path, sole=True) == ("runs_alive", [new.id, old.id])
    lock.release()
    second.release()


def test_a_folder_reached_by_a_link_is_one_run(tmp_path: Path) -> None:
    run = make(tmp_path / "real/logs", "x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    index.note(RunFolder(tmp_path / "link/logs" / run.id))
    assert [found.path for found in index.known(tmp_path / "link")] == [run.path.resolve()]
