"""runs, attach, stop, resume, logs and rm as a person types them; containers and machines as far as namespaces go."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import EnvironmentProblem
from engine.runs import control, index
from engine.runs.folder import RunFolder
from engine.runs.status import status
from tests.e2e.tool import TOOL, environment, sft, start, train_config, wait_for
from tests.unit.bench import COMMAND, ROOT, Bench, closing, training, until

pytestmark = pytest.mark.usefixtures("private_home")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def listed(cwd: Path) -> list[dict]:
    done = sft("runs", "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_detached_run_is_found_watched_stopped_and_resumed_from_anywhere(tmp_path, tiny_model):
    """The whole life of a run that its terminal did not see the end of."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    train_config(project, tiny_model, num_train_epochs=300.0, save_steps=100_000)
    settings = ["--set", "seed=7", "--set", "max_steps=3000"]
    started = sft("--replay", "train.yaml", *settings, "--detach", cwd=project)
    assert started.returncode == 0, started.stderr
    name = started.stdout.strip()
    assert started.stdout == f"{name}\n"
    assert f"attach {name}" in started.stderr and "train.log" in started.stderr

    run = RunFolder(project / "saves/out/logs" / name)
    wait_for(lambda: status(run).step >= 2)
    (row,) = listed(elsewhere)
    assert (row["id"], row["state"], row["alive"], row["total"]) == (name, "running", True, 3000)
    refused = sft("resume", cwd=elsewhere)
    assert (refused.returncode, f"attach {name}" in refused.stderr) == (3, True)
    assert sft("runs", "rm", name, cwd=elsewhere).returncode == 2

    watching = start("attach", name[:15], "--plain", cwd=elsewhere)
    following = start("logs", name, "-f", cwd=elsewhere)
    stopped = sft("stop", cwd=elsewhere)
    assert stopped.returncode == 0, stopped.stderr
    assert f"resume {name}" in stopped.stderr
    _, said = watching.communicate(timeout=60)
    assert watching.returncode == 4
    assert "loss" in said and "Traceback" not in said
    following.communicate(timeout=60)
    assert following.returncode == 0
    assert sft("stop", cwd=elsewhere).returncode == 2
    step = status(run).step

    # The relative paths of a bare file began in `project`; the settings of the command line are kept.
    again = sft("resume", name, "--detach", "--json", cwd=elsewhere)
    assert again.returncode == 0, again.stderr
    second = RunFolder(Path(json.loads(again.stdout)["folder"]))
    wait_for(lambda: status(second).step > step)
    assert second.config()["train"]["config"]["seed"] == 7
    assert next(e for e in events_of(second) if e.get("what") == "resumed")["step"] == step
    killed = sft("stop", "--kill", cwd=elsewhere)
    assert killed.returncode == 0, killed.stderr
    assert status(second).state == "failed"
    shown = sft("attach", "--plain", cwd=elsewhere)
    assert shown.returncode == 1
    assert "Killed on request" in shown.stderr

    ids = [row["id"] for row in listed(elsewhere)]
    assert ids == [second.id, name]
    gone = sft("runs", "rm", name, cwd=elsewhere)
    assert str(run.path) in gone.stdout
    assert not run.path.exists()
    planned = sft("runs", "rm", second.id, "--all", "--dry-run", cwd=elsewhere)
    assert "saves/out" in planned.stdout and second.path.exists()
    assert sft("runs", "rm", second.id, "--all", "--yes", cwd=elsewhere).returncode == 0
    assert not (project / "saves/out").exists()
    assert listed(elsewhere) == []


def events_of(run: RunFolder) -> list[dict]:
    return [json.loads(line) for line in run.events_file.read_text().splitlines()]


def test_the_list_fits_eighty_columns(tmp_path: Path) -> None:
    """A terminal of 80 columns, long names, six-digit step counts."""
    for number in range(3):
        run = RunFolder.create(tmp_path / "logs", f"a-very-long-project-name-{number}", {"steps": ["train"]})
        line = {"v": 1, "seq": 0, "type": "step", "step": 123456, "total": 654321, "loss": 12.3456}
        run.events_file.write_text(json.dumps(line) + "\n")
        run.update_state(state="finished")
        index.note(run)
    done = sft("runs", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    shown = [line.split()[0] for line in lines[1:]]
    assert len(set(shown)) == 3
    for name in shown:  # what is shown can be typed
        assert sft("logs", name, cwd=tmp_path).returncode == 0


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    for command in ("attach", "stop", "resume", "logs"):
        done = sft(command, cwd=tmp_path)
        assert (done.returncode, "--replay FILE" in done.stderr) == (2, True)
    done = sft("attach", "20200101", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_a_log_is_printed_without_its_escapes(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "logs", "x", {"steps": []})
    run.log_file.write_bytes(b"\x1b[31mred\x1b[0m\n 1%\r100%\n")
    run.update_state(state="finished")
    assert sft("logs", cwd=tmp_path).stdout == "red\n100%\n"


# Containers and machines, as namespaces


def unshare(*kinds: str) -> list[str]:
    """A command in namespaces of its own; skipped where the machine does not allow them."""
    command = ["unshare", "--user", "--map-root-user", *kinds]
    probe = subprocess.run([*command, "true"], capture_output=True, check=False) if shutil.which("unshare") else None
    if probe is None or probe.returncode:
        pytest.skip("namespaces are not allowed here")
    return command


CONTAINER = ("--pid", "--fork", "--mount-proc", "--kill-child", "--net")


def in_container(bench: Bench, run: RunFolder, command: list[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([*command, *COMMAND, str(run.path)], cwd=ROOT, start_new_session=True)
    bench.started.append(process)
    until(lambda: training(run), "training in the container")
    return process


def test_a_run_in_a_container_is_elsewhere_and_can_be_stopped(bench: Bench) -> None:
    """Its pid means another process here, and it has no network: the folder they share is enough."""
    run = bench.prepare("train")
    process = in_container(bench, run, unshare(*CONTAINER))
    found = status(run)
    assert (found.state, found.alive, found.pid) == ("elsewhere", True, 1)
    with pytest.raises(EnvironmentProblem) as caught:
        control.stop(run, kill=True)
    assert caught.value.problems[0].code == "kill_elsewhere"
    assert control.stop(run) == "file"
    assert process.wait(20) == 0
    assert (status(run).state, closing(run)["outcome"]) == ("stopped", "stopped")


def test_a_container_that_was_killed_is_not_called_crashed(bench: Bench) -> None:
    """From outside it cannot be told from one whose lock does not reach here."""
    run = bench.prepare("train")
    process = in_container(bench, run, unshare(*CONTAINER))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until(lambda: not run.alive(), "the end of the container")
    assert status(run).state == "elsewhere"
    shown = listed(bench.folder)[0]
    assert shown["state"] == "elsewhere" and shown["heartbeat_age"] is not None
    table = sft("runs", cwd=bench.folder).stdout
    assert "last sign of life" in table


def test_a_machine_of_another_name_is_elsewhere(bench: Bench) -> None:
    """Two nodes with one home folder."""
    run = bench.prepare("train")
    command = [*unshare("--uts"), "sh", "-c", 'hostname node-of-a-test && exec "$@"', "sh"]
    process = in_container(bench, run, command)
    found = status(run)
    assert (found.state, found.alive, found.host) == ("elsewhere", True, "node-of-a-test")
    table = sft("runs", cwd=bench.folder).stdout
    assert "node-of-a" in table
    assert control.stop(run) == "file"
    assert process.wait(20) == 0


def test_seen_from_inside_a_container_runs_outside_are_elsewhere(bench: Bench) -> None:
    """A shell in a container lists, and stops, what the host trains."""
    run = bench.prepare("train")
    bench.worker(run)
    until(lambda: training(run), "training")
    command = [*unshare(*CONTAINER), *TOOL]
    options = {"cwd": bench.folder, "env": environment(), "capture_output": True, "text": True, "timeout": 60}
    seen = subprocess.run([*command, "runs", "--json"], check=False, **options)
    assert json.loads(seen.stdout)[0]["state"] == "elsewhere"
    assert subprocess.run([*command, "stop", "--kill"], check=False, **options).returncode == 3
    assert run.alive()
    assert subprocess.run([*command, "stop"], check=False, **options).returncode == 0
    assert closing(run)["outcome"] == "stopped"


def test_a_detached_run_in_a_container_is_told_that_it_ends_with_it(tmp_path, tiny_model):
    """docker run IMAGE sft-wizard --replay FILE --detach would return, and take the run with it."""
    train_config(tmp_path, tiny_model, max_steps=1)
    command = [*unshare(*CONTAINER), *TOOL, "--replay", "train.yaml", "--detach"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
    assert "ends with this container" in done.stderr


def test_under_slurm_a_detached_run_is_told_that_it_ends_with_its_job(tmp_path, tiny_model):
    train_config(tmp_path, tiny_model, max_steps=1)
    slurm = {**environment(), "SLURM_JOB_ID": "4711"}
    command = [*TOOL, "--replay", "train.yaml", "--detach"]
    done = subprocess.run(command, cwd=tmp_path, env=slurm, capture_output=True, text=True, timeout=60)
    assert "Slurm job 4711" in done.stderr
    sft("stop", "--kill", cwd=tmp_path)


def test_a_batch_job_that_is_cancelled_saves(bench: Bench) -> None:
    """Slurm sends SIGTERM to every process of a job, some twice: one checkpoint, one closing word."""
    run = bench.prepare("train")
    viewer = bench.viewer(run)
    until(lambda: training(run), "training")
    worker = run.state()["pid"]
    threads = [
        threading.Thread(target=os.kill, args=(pid, signal.SIGTERM)) for pid in (worker, viewer.pid, worker, viewer.pid)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert viewer.wait(20) == 75
    assert closing(run)["outcome"] == "stopped"
