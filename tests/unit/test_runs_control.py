"""Stopping and deleting from anywhere: nobody else's process is hit, and nothing goes that was not named."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EXIT_ENVIRONMENT, EXIT_USAGE, ProblemError
from engine.outputs import lock_path, mark_finished, mark_started
from engine.runs import control, index
from engine.runs.folder import RunFolder
from engine.runs.lock import FolderLock, Holder, Place
from engine.runs.status import status
from tests.unit.bench import Bench, closing, training, until

pytestmark = pytest.mark.usefixtures("private_home")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def going(bench: Bench, behave: str = "train") -> RunFolder:
    run = bench.prepare(behave)
    bench.worker(run)
    until(lambda: training(run), "training")
    return run


def refusal(what: Any, run: RunFolder, **options: Any) -> tuple[str, int]:
    with pytest.raises(ProblemError) as caught:
        what(run, **options)
    return caught.value.problems[0].code, caught.value.exit_code


def test_stop_ends_a_run_with_its_checkpoint(bench: Bench) -> None:
    run = going(bench)
    assert control.stop(run) == "signal"
    until(lambda: not run.alive(), "the end of the run")
    assert (closing(run)["outcome"], status(run).state) == ("stopped", "stopped")
    assert not run.stop_file.exists()
    assert refusal(control.stop, run) == ("run_over", EXIT_USAGE)


def test_stop_from_another_container_goes_by_the_folder(bench: Bench) -> None:
    """A pid of another namespace is somebody else's process here."""
    run = going(bench)
    there = replace(Place.here(), pid_namespace="pid:[5]")
    assert control.stop(run, here=there) == "file"
    until(lambda: not run.alive(), "the end of the run")
    assert closing(run)["outcome"] == "stopped"


def test_a_run_whose_worker_is_not_there_yet_is_stopped_by_file(bench: Bench) -> None:
    run = bench.prepare("train")
    assert control.stop(run) == "file"
    assert refusal(control.stop, run, kill=True) == ("kill_unverified", EXIT_ENVIRONMENT)
    assert bench.worker(run).wait(20) == 0
    assert closing(run)["outcome"] == "stopped"


def test_kill_ends_the_whole_process_group_and_says_so(bench: Bench) -> None:
    """Data loaders and compilers left behind would keep the GPU's memory; and it must not look like a crash."""
    run = going(bench, "children")
    child = int(until(lambda: (run.path / "child").exists() and (run.path / "child").read_text(), "its child"))
    assert control.stop(run, kill=True) == "killed"
    assert not run.alive()
    assert (closing(run)["code"], status(run).state) == ("killed", "failed")
    assert closing(run)["params"]["by"].endswith(f"@{socket.gethostname()}")
    until(lambda: not alive(child), "the end of its child")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_kill_does_not_reach_into_other_machines(bench: Bench) -> None:
    run = going(bench)
    there = replace(Place.here(), host="node2")
    assert refusal(control.stop, run, kill=True, here=there) == ("kill_elsewhere", EXIT_ENVIRONMENT)
    assert run.alive()


def test_kill_spares_a_later_process_with_the_same_pid(bench: Bench) -> None:
    """The lock is held, but its note names a process that started at another time: ours could be anybody's."""
    run = bench.prepare("train")
    other = bench.worker(bench.prepare("train"))
    until(lambda: alive(other.pid), "the other process")
    me = Holder.this_process(run.id)
    lock = FolderLock.take(run.lock_file, replace(me, pid=other.pid, started=me.started - 1000))
    assert refusal(control.stop, run, kill=True) == ("kill_unverified", EXIT_ENVIRONMENT)
    assert control.stop(run) == "file"
    assert other.poll() is None
    lock.release()


def test_a_viewer_hears_that_its_run_was_killed(bench: Bench) -> None:
    """Else the one terminal says `killed` and the other blames the out-of-memory killer."""
    run = bench.prepare("train")
    viewer = bench.viewer(run, "--terminal")
    until(lambda: training(run), "training")
    control.stop(run, kill=True)
    assert viewer.stdout
    codes = [json.loads(line).get("code") for line in viewer.stdout]
    assert codes[-2] == "killed"
    assert viewer.wait(20) == 1


# rm


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


def finished(project: Path, *, logs: str = "logs", **train: Any) -> RunFolder:
    """A run that trained and merged, with its outputs."""
    adapter, merged = project / "saves/x", project / "models/x"
    spec = {
        "steps": ["train", "merge"],
        "train": {"config": {"output_dir": str(adapter), **train}},
        "merge": {"config": {"export_dir": str(merged)}},
    }
    run = RunFolder.create(project / logs, "x", spec)
    index.note(run)
    for folder in (adapter, merged):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights").write_bytes(b"x" * 1000)
        mark_started(folder, "f", run.path)
        mark_finished(folder)
    run.update_state(state="finished")
    return run


def listed(run: RunFolder, everything: bool) -> list[Path]:
    return [path for path, _ in control.removal(run, everything=everything)]


def test_rm_takes_the_run_and_keeps_what_it_made(project: Path) -> None:
    run = finished(project)
    assert listed(run, False) == [run.path]
    ((_, size),) = control.remove(run, everything=False)
    assert size > 100
    assert not run.path.exists()
    assert not (project / "logs/train.log").is_symlink()
    assert (project / "saves/x/weights").exists() and (project / "models/x/weights").exists()
    assert index.known(project) == []


def test_all_takes_adapter_and_model_too(project: Path) -> None:
    run = finished(project)
    assert listed(run, True) == [project / "saves/x", project / "models/x", run.path]
    sizes = dict(control.remove(run, everything=True))
    assert sizes[project / "saves/x"] > 1000
    assert not any(path.exists() for path in sizes)


def test_what_a_later_run_wrote_is_not_this_ones_to_delete(project: Path) -> None:
    """The first attempt of a resumed training is tidied away; the adapter that came of it stays."""
    first = finished(project)
    second = finished(project)
    assert listed(first, True) == [first.path]
    assert listed(second, True) == [project / "saves/x", project / "models/x", second.path]


def test_a_folder_without_our_marker_is_never_deleted(project: Path) -> None:
    run = finished(project)
    (project / "models/x/sft_wizard.json").unlink()
    assert listed(run, True) == [project / "saves/x", run.path]


@pytest.mark.parametrize("inside", ["file", "dataset_dir"])
def test_an_output_folder_with_config_or_data_in_it_stays(project: Path, inside: str) -> None:
    """`output_dir: .` makes the project itself an output."""
    run = finished(project, **({"dataset_dir": str(project / "saves/x/data")} if inside == "dataset_dir" else {}))
    config = run.config() | ({"file": str(project / "saves/x/config.yaml")} if inside == "file" else {})
    run.config_file.write_text(json.dumps(config))
    assert listed(run, True) == [project / "models/x", run.path]


def test_a_moved_project_can_be_tidied(project: Path) -> None:
    """The marker names the old path; the run is the same."""
    run = finished(project)
    moved = project.with_name("moved")
    project.rename(moved)
    there = RunFolder(moved / "logs" / run.id)
    assert listed(there, False) == [there.path]
    assert listed(there, True) == [there.path]  # its config names folders that are not there


def test_runs_of_others_in_an_output_folder_stay(project: Path) -> None:
    """A bare train config's runs lie in its output folder, so deleting that whole would take their logs along."""
    first = finished(project, logs="saves/x/logs")
    second = finished(project, logs="saves/x/logs")
    control.remove(second, everything=True)
    assert first.path.exists()
    assert sorted(path.name for path in (project / "saves/x").iterdir()) == ["logs"]
    third = finished(project, logs="saves/x/logs")
    control.remove(first, everything=False)
    assert listed(third, True) == [project / "saves/x", project / "models/x"]


def test_its_tensorboard_folder_elsewhere_goes_along(project: Path) -> None:
    run = finished(project, logging_dir=str(project / "boards"))
    (project / "boards" / run.id).mkdir(parents=True)
    (project / "boards/other").mkdir()
    control.remove(run, everything=False)
    assert [path.name for path in (project / "boards").iterdir()] == ["other"]


def test_a_damaged_run_can_be_deleted(project: Path) -> None:
    run = finished(project)
    run.config_file.write_text("steps: [")
    control.remove(run, everything=True)
    assert not run.path.exists()
    assert (project / "saves/x").exists()


def test_a_live_run_is_not_deleted(project: Path) -> None:
    run = finished(project)
    lock = FolderLock.take(run.lock_file, Holder.this_process(run.id))
    assert refusal(control.remove, run, everything=False) == ("run_alive", EXIT_USAGE)
    lock.release()
    starting = RunFolder.create(project / "logs", "y", {"steps": []})
    assert refusal(control.remove, starting, everything=False) == ("run_alive", EXIT_USAGE)


def test_a_run_on_another_machine_that_still_beats_is_not_deleted(project: Path) -> None:
    run = finished(project)
    run.update_state(state="running")
    run.lock_file.write_text(json.dumps(asdict(replace(Holder.this_process(run.id), host="node2"))))
    assert refusal(control.remove, run, everything=False)[0] == "run_alive"
    os.utime(run.lock_file, (1, 1))
    control.remove(run, everything=False)
    assert not run.path.exists()


def test_an_output_that_a_live_run_holds_is_not_deleted(project: Path) -> None:
    """A new training that begins to write over it."""
    run = finished(project)
    lock = FolderLock.take(lock_path(project / "saves/x"), Holder.this_process("new"))
    assert refusal(control.remove, run, everything=True) == ("in_use", EXIT_ENVIRONMENT)
    assert (project / "saves/x").exists() and run.path.exists()
    assert listed(run, False) == [run.path]
    lock.release()


def test_links_are_not_followed(project: Path, tmp_path: Path) -> None:
    """A dataset linked into the run folder is not deleted with it, nor counted."""
    run = finished(project)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_bytes(b"x" * 100_000)
    (run.path / "link").symlink_to(precious)
    ((_, size),) = control.remove(run, everything=False)
    assert size < 50_000
    assert (precious / "data").exists()


def test_sigkill_is_what_kill_means(bench: Bench) -> None:
    """A worker that no longer reacts must go."""
    run = going(bench, "stubborn")
    pid = run.state()["pid"]
    os.kill(pid, signal.SIGTERM)
    control.stop(run, kill=True)
    assert not alive(pid)


def recorded(tmp_path: Path, state: str = "stopped") -> tuple[RunFolder, Path]:
    """A run of a project whose worker said its last word."""
    config = tmp_path / "project" / "config.yaml"
    config.parent.mkdir()
    config.write_text("version: 1\n")
    spec = {
        "file": str(config),
        "overrides": ["train.seed=1"],
        "cwd": str(tmp_path),
        "require_gpu": True,
        "force": True,
    }
    run = RunFolder.create(config.parent / "logs", "p", spec)
    run.update_state(state=state)
    return run, config


def test_a_run_is_resumed_with_what_it_was_started_with(tmp_path: Path) -> None:
    run, config = recorded(tmp_path)
    assert control.again(run) == control.Again(config, ["train.seed=1"], True, True, tmp_path)


def test_a_run_of_a_project_that_was_moved_is_resumed_there(tmp_path: Path) -> None:
    """Projects are renamed and copied to another disk; the paths they recorded stay behind."""
    run, config = recorded(tmp_path)
    moved = tmp_path / "moved"
    config.parent.rename(moved)
    assert control.again(RunFolder(moved / "logs" / run.id)).source == moved / "config.yaml"


def test_a_worker_that_closes_is_waited_for_and_one_that_works_is_not_disturbed(tmp_path: Path) -> None:
    """Stop, then resume at once: the old worker may take a second to be gone, which is no reason to refuse."""
    run, _ = recorded(tmp_path)
    lock = FolderLock.take(run.lock_file, Holder.this_process(run.id))
    threading.Timer(0.3, lock.release).start()
    assert control.again(run).require_gpu
    run.update_state(state="running")
    lock = FolderLock.take(run.lock_file, Holder.this_process(run.id))
    try:
        assert refusal(control.again, run) == ("still_alive", EXIT_ENVIRONMENT)
    finally:
        lock.release()
