"""Workers and viewers as processes: every way in which a run can be ended, and what is left to read afterwards."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DataError, Problem, RunError
from engine.runs.events import read_events
from engine.runs.folder import RunFolder
from engine.runs.follow import Viewer
from engine.runs.launch import Worker, start_worker, worker_environment
from engine.runs.lock import FolderLock, Holder, held
from engine.runs.worker import explain
from tests.unit.bench import COMMAND, ROOT, Bench, closing, training, until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_a_run_that_goes_well(bench: Bench) -> None:
    run = bench.prepare("done")
    assert bench.worker(run).wait(20) == 0
    assert [event["type"] for event in read_events(run.events_file)] == ["run_started", "phase", "finished"]
    assert (closing(run)["outcome"], closing(run)["outputs"]) == ("done", {"adapter": "/a"})
    assert (run.state()["state"], run.state()["exit_code"], run.alive()) == ("finished", 0, False)


def test_sigterm_ends_a_run_with_its_word(bench: Bench) -> None:
    run = bench.prepare("train")
    process = bench.worker(run)
    until(lambda: training(run), "training")
    assert run.alive()
    process.terminate()
    process.terminate()  # Slurm and the viewer both send it
    assert process.wait(20) == 0
    assert (closing(run)["outcome"], run.state()["state"]) == ("stopped", "stopped")


def test_a_stop_file_ends_a_run(bench: Bench) -> None:
    run = bench.prepare("train")
    process = bench.worker(run)
    until(lambda: training(run), "training")
    run.stop_file.touch()
    assert process.wait(20) == 0
    assert closing(run)["outcome"] == "stopped"


def test_without_a_terminal_a_run_ends_when_its_viewer_dies(bench: Bench) -> None:
    """A batch system that kills the viewer alone must not leave a run on the node."""
    run = bench.prepare("train")
    read_end, write_end = os.pipe()
    process = bench.worker(run, "--lifeline", str(read_end), pass_fds=[read_end])
    os.close(read_end)
    until(lambda: training(run), "training")
    os.close(write_end)
    assert process.wait(20) == 0
    assert closing(run)["outcome"] == "stopped"


def test_sigterm_before_the_worker_listens_is_not_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch job cancelled in its first moment would otherwise die without a word, or train on."""
    monkeypatch.setattr("engine.runs.launch.python_module", lambda module: COMMAND)
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    run = bench.prepare("train")
    worker = start_worker(run, outlives_viewer=True)
    bench.started.append(worker.process)
    worker.process.terminate()  # Python itself has not started there yet
    assert worker.process.wait(20) == 0
    assert closing(run)["outcome"] == "stopped"
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])  # ours is as before


def test_the_worker_unblocks_sigterm_for_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.runs.launch.python_module", lambda module: COMMAND)
    monkeypatch.chdir(ROOT)
    run = bench.prepare("done")
    worker = start_worker(run, outlives_viewer=True)
    assert worker.process.wait(20) == 0
    phase = next(event for event in read_events(run.events_file) if event["type"] == "phase")
    assert phase["sigterm_blocked"] is False


def test_the_next_step_is_the_same_process_with_its_lock(bench: Bench) -> None:
    """The next step is the real merge, which has nothing to merge here: that it fails is not what is looked at."""
    run = bench.prepare("done", steps=["train", "merge"])
    process = bench.worker(run)
    until(lambda: run.state().get("step") == "merge", "the second step")
    assert run.state()["pid"] == process.pid
    assert run.alive()
    assert process.wait(60) == 1
    events = list(read_events(run.events_file))
    assert [event["type"] for event in events] == ["run_started", "phase", "failed"]
    assert [event["seq"] for event in events] == [0, 1, 2]
    assert not run.alive()


def test_a_second_worker_on_a_run_is_refused_and_leaves_it_alone(bench: Bench) -> None:
    run = bench.prepare("train")
    bench.worker(run)
    until(lambda: training(run), "training")
    events = list(read_events(run.events_file))
    assert bench.worker(run).wait(20) == 3
    assert list(read_events(run.events_file)) == events
    assert run.state()["state"] == "running"
    assert "in use" in run.log_file.read_text()


def test_a_failed_step_tells_its_code_and_keeps_the_traceback_in_the_log(bench: Bench) -> None:
    run = bench.prepare("problem")
    assert bench.worker(run).wait(20) == 2
    event = closing(run)
    assert (event["type"], event["code"], event["key"], event["exit_code"]) == ("failed", "value_wrong", "seed", 2)
    assert (run.state()["state"], run.state()["code"]) == ("failed", "value_wrong")
    assert "Traceback" in run.log_file.read_text()


def test_a_log_on_a_full_disk_does_not_swallow_the_reason(bench: Bench) -> None:
    run = bench.prepare("no memory")
    with Path("/dev/full").open("ab") as full:
        bench.worker(run, stdout=full, stderr=full).wait(20)
    assert closing(run)["code"] == "oom"


def test_a_step_that_there_is_not_is_a_failure_with_a_word(bench: Bench) -> None:
    run = bench.prepare("done", steps=["dance"])
    assert bench.worker(run).wait(20) == 1
    assert closing(run)["code"] == "internal"


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (MemoryError(), "oom", 1),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "oom", 1),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "oom", 1),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "disk_full", 3),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/data/x"), "disk_full", 3),
        (RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)"), "disk_full", 3),
        (RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/7"), "disk_full", 3),
        (ModuleNotFoundError("No module named 'bitsandbytes'", name="bitsandbytes"), "missing_package", 3),
        (ValueError("something else"), "internal", 1),
        (KeyboardInterrupt(), "internal", 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_errors_become_codes(error: BaseException, code: str, exit_code: int) -> None:
    (problem,), found = explain(error)
    assert (problem.code, found) == (code, exit_code)


def test_problems_stay_what_they_are() -> None:
    problems = (Problem("rows_dropped"), Problem("nan_loss"))
    assert explain(DataError(*problems)) == (problems, 2)
    assert explain(RunError(*problems)) == (problems, 1)


def test_the_path_of_a_full_disk_and_the_name_of_a_package_are_told() -> None:
    (disk,), _ = explain(OSError(errno.ENOSPC, "No space left on device", "/data/x"))
    (package,), _ = explain(ModuleNotFoundError("No module named 'x.y'", name="x"))
    assert (disk.params["path"], package.params["name"]) == ("/data/x", "x")


def test_secrets_travel_by_environment_only() -> None:
    assert worker_environment({"hub_token": "hf_x"})["HF_TOKEN"] == "hf_x"
    assert worker_environment({"swanlab_api_key": "k"}).get("HF_TOKEN") == os.environ.get("HF_TOKEN")
    assert worker_environment()["PYTHONSAFEPATH"] == "1"


# Viewers


def watch(bench: Bench, behave: str, *extra: str) -> tuple[RunFolder, subprocess.Popen[str]]:
    run = bench.prepare(behave)
    process = bench.viewer(run, *extra)
    return run, process


def heard(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    assert process.stdout
    return [json.loads(line) for line in process.stdout]


def test_a_viewer_ends_with_its_run(bench: Bench) -> None:
    _, process = watch(bench, "done")
    events = heard(process)
    assert process.wait(20) == 0
    assert [event["type"] for event in events] == ["run_started", "phase", "finished", "ending"]


@pytest.mark.parametrize(("behave", "code"), [("problem", 2), ("no memory", 1)])
def test_a_viewer_returns_what_the_run_failed_with(bench: Bench, behave: str, code: int) -> None:
    _, process = watch(bench, behave)
    assert heard(process)[-2]["type"] == "failed"
    assert process.wait(20) == code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130), (signal.SIGHUP, 75)])
def test_signals_are_passed_on_and_the_checkpoint_awaited(bench: Bench, number: int, code: int) -> None:
    run, process = watch(bench, "train")
    until(lambda: training(run), "training")
    process.send_signal(number)
    assert "stopping" in [event["type"] for event in heard(process)]
    assert process.wait(20) == code
    assert closing(run)["outcome"] == "stopped"


def test_a_stop_from_elsewhere_is_4(bench: Bench) -> None:
    run, process = watch(bench, "train")
    until(lambda: training(run), "training")
    run.stop_file.touch()
    heard(process)
    assert process.wait(20) == 4


def test_a_second_sigterm_changes_nothing_and_a_second_ctrl_c_kills(bench: Bench) -> None:
    run, process = watch(bench, "stubborn")
    until(lambda: training(run), "training")
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    assert process.poll() is None and run.alive()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None and run.alive()
    process.send_signal(signal.SIGINT)
    kinds = [event["type"] for event in heard(process)]
    assert kinds.count("killing") == 1
    assert process.wait(20) == 130
    assert not held(run.lock_file)


def test_a_killed_worker_is_reported_with_its_log(bench: Bench) -> None:
    """The system's out-of-memory killer leaves no word; the viewer must find one."""
    run, process = watch(bench, "kill itself")
    failed = heard(process)[-2]
    assert process.wait(20) == 1
    assert (failed["code"], failed["params"]) == ("crashed", {"how": "SIGKILL", "log": str(run.log_file)})
    assert run.state()["state"] == "crashed"
    assert run.log_tail()[-1] == "last words"


def test_a_worker_that_leaves_without_a_word_is_no_success(bench: Bench) -> None:
    run, process = watch(bench, "vanish")
    assert heard(process)[-2]["code"] == "crashed"
    assert process.wait(20) == 1
    assert run.state()["state"] == "crashed"


def test_a_hang_up_on_a_terminal_leaves_the_run_going(bench: Bench) -> None:
    run, process = watch(bench, "train", "--terminal")
    until(lambda: training(run), "training")
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == 0
    assert run.alive()
    os.kill(run.state()["pid"], signal.SIGTERM)
    until(lambda: not run.alive(), "the end of the run")
    assert closing(run)["outcome"] == "stopped"


@pytest.mark.parametrize(("extra", "lives"), [((), False), (("--terminal",), True)])
def test_a_killed_viewer(bench: Bench, extra: tuple[str, ...], lives: bool) -> None:
    run, process = watch(bench, "train", *extra)
    until(lambda: training(run), "training")
    process.kill()
    process.wait()
    if lives:
        time.sleep(1)
        assert run.alive()
    else:
        until(lambda: not run.alive(), "the end of the run")
        assert closing(run)["outcome"] == "stopped"


def test_locks_of_outputs_lie_beside_them(tmp_path: Path) -> None:
    from engine.outputs import lock_path

    lock = FolderLock.take(lock_path(tmp_path / "out"), Holder.this_process("x"))
    assert held(tmp_path / ".out.lock")
    lock.release()


def test_nohup_is_respected(bench: Bench) -> None:
    """`nohup sft-wizard --replay FILE &`, then logout: without a terminal a hang-up would otherwise end the run."""
    run = bench.prepare("train")
    process = subprocess.Popen(
        ["nohup", *COMMAND, "--view", str(run.path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    bench.started.append(process)
    until(lambda: training(run), "training")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None and run.state()["state"] == "running"
    process.terminate()
    assert process.wait(20) == 75


# Viewers that attach


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_leaving_an_attached_viewer_leaves_the_run_alone(bench: Bench, number: int) -> None:
    """Somebody who only looks must not be able to end a colleague's night of training with Ctrl+C."""
    run = bench.prepare("train")
    bench.worker(run)
    until(lambda: training(run), "training")
    process = bench.viewer(run, role="--attach")
    assert process.stdout and json.loads(process.stdout.readline())["type"] == "run_started"
    process.send_signal(number)
    assert heard(process)[-1] == {"type": "ending", "left_running": True}
    assert process.wait(20) == 0
    assert run.alive()
    assert run.state()["state"] == "running"


def test_an_attached_viewer_hears_the_end(bench: Bench) -> None:
    """Scripts wait for a run with attach and go by its exit code."""
    run = bench.prepare("train")
    bench.worker(run)
    until(lambda: training(run), "training")
    process = bench.viewer(run, role="--attach")
    run.stop_file.touch()
    assert [event["type"] for event in heard(process)] == ["run_started", "phase", "finished", "ending"]
    assert process.wait(20) == 4


def test_an_attached_viewer_is_told_of_a_crash(bench: Bench) -> None:
    """Without it, attach would wait for ever on a run that the system's out-of-memory killer ended."""
    run = bench.prepare("train")
    worker = bench.worker(run)
    until(lambda: training(run), "training")
    process = bench.viewer(run, role="--attach")
    assert process.stdout and process.stdout.readline()
    worker.kill()
    worker.wait()
    code = [event.get("code") for event in heard(process)][-2]
    assert code in ("crashed_otherwise", "crashed_unseen")  # as far as the kernel tells
    assert process.wait(20) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_worker_is_being_started_reaches_it(bench: Bench, number: int) -> None:
    """Ctrl+C in the first moment would otherwise leave a run going that nobody has the id of."""
    run = bench.prepare("train")
    told: list[dict[str, Any]] = []
    with Viewer(told.append, has_terminal=True) as viewer:
        os.kill(os.getpid(), number)
        process = bench.worker(run)
        until(lambda: training(run), "training")
        ending = viewer.follow(run, Worker(process, None))
    assert ending.exit_code == {signal.SIGINT: 130, signal.SIGTERM: 75}[number]  # type: ignore[index]
    assert closing(run)["outcome"] == "stopped"
    assert told[0]["type"] == "stopping"
