"""A viewer that is lost: hang-up of its terminal, SIGTERM, kill -9, in each phase of a run.

With fake steps, which hold a phase as long as the test needs it, and (slow) with real training of a tiny model.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from engine.runs import control
from engine.runs.events import read_events
from engine.runs.folder import RunFolder
from engine.runs.status import status
from tests.e2e.pty import Line, gone
from tests.e2e.tool import TOOL, environment, sft, train_config, wait_for, write_yaml
from tests.unit.bench import COMMAND, ROOT, Bench, closing, until
from tests.unit.run_steps import PHASES

pytestmark = pytest.mark.usefixtures("private_home")

WAYS: dict[str, Callable[[Line], None]] = {
    "hang-up": lambda line: line.hang_up(),
    "SIGTERM": lambda line: line.signal(signal.SIGTERM),
    "SIGKILL": lambda line: line.signal(signal.SIGKILL),
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def terminal_environment() -> dict[str, str]:
    """As over SSH: no CI."""
    return {name: value for name, value in environment().items() if name != "CI"} | {"TERM": "xterm-256color"}


def fake(stack: ExitStack, run: RunFolder, *role: str) -> Line:
    """A viewer of a run of fake steps in a terminal."""
    return stack.enter_context(Line([*COMMAND, role[0], str(run.path), *role[1:]], ROOT, terminal_environment()))


def phase(run: RunFolder) -> str:
    """The one that the run is in."""
    return next((e["name"] for e in reversed(list(read_events(run.events_file))) if e["type"] == "phase"), "")


def steps(run: RunFolder) -> int:
    return status(run).step


@pytest.mark.parametrize("way", WAYS)
def test_a_lost_viewer_in_each_phase(bench: Bench, way: str) -> None:
    """With a terminal a run outlives a dropped link and a killed viewer, and ends well; SIGTERM saves and ends it."""
    runs = {name: bench.prepare("phases", hold=name) for name in PHASES}
    with ExitStack() as stack:
        lines = {name: fake(stack, run, "--view", "--terminal") for name, run in runs.items()}
        for name, run in runs.items():
            until(lambda run=run, name=name: phase(run) == name, name)  # type: ignore[misc]
        viewers = {name: line.pid() for name, line in lines.items()}
        for name in PHASES:
            WAYS[way](lines[name])
        for name, run in runs.items():
            until(lambda name=name: gone(viewers[name]), "the end of the viewer")  # type: ignore[misc]
            if way == "SIGTERM":
                until(lambda run=run: not run.alive(), "the end of the run")  # type: ignore[misc]
                assert (closing(run)["outcome"], lines[name].code()) == ("stopped", 75)
                continue
            assert run.alive(), name
            assert status(run).state == "running"
            (run.path / "go").touch()
            until(lambda run=run: not run.alive(), "the end of the run")  # type: ignore[misc]
            assert closing(run)["outcome"] == "done"


def test_twenty_hang_ups_in_training(bench: Bench) -> None:
    """20 of 20 runs go on training when the link drops."""
    runs = [bench.prepare("phases", hold="training") for _ in range(20)]
    for group in (runs[:10], runs[10:]):
        with ExitStack() as stack:
            lines = [fake(stack, run, "--view", "--terminal") for run in group]
            for run in group:
                until(lambda run=run: steps(run) > 0, "training")  # type: ignore[misc]
            viewers = [line.pid() for line in lines]
            for line in lines:
                line.hang_up()
            seen = [steps(run) for run in group]
            for viewer in viewers:
                until(lambda viewer=viewer: gone(viewer), "the end of the viewer")  # type: ignore[misc]
            for run, before in zip(group, seen, strict=True):
                until(lambda run=run, before=before: steps(run) > before, "more steps")  # type: ignore[misc]
                (run.path / "go").touch()
            for run in group:
                until(lambda run=run: not run.alive(), "the end of the run")  # type: ignore[misc]
    assert [closing(run)["outcome"] for run in runs] == ["done"] * 20


@pytest.mark.parametrize("way", [*WAYS, "Ctrl+C"])
def test_a_lost_attached_viewer(bench: Bench, way: str) -> None:
    """Whatever becomes of somebody who looks on: the run does not notice."""
    run = bench.prepare("phases", hold="training")
    bench.worker(run)
    until(lambda: steps(run) > 0, "training")
    with ExitStack() as stack:
        line = fake(stack, run, "--attach")
        line.wait_text('"training"')
        viewer = line.pid()
        if way == "Ctrl+C":
            line.signal(signal.SIGINT)
        else:
            WAYS[way](line)
        until(lambda: gone(viewer), "the end of the viewer")
    before = steps(run)
    until(lambda: steps(run) > before, "more steps")
    assert status(run).state == "running"


def test_a_run_in_a_group_that_is_killed(bench: Bench) -> None:
    """kill -9 to the viewer's process group, as some terminals and supervisors do: the worker is in another."""
    run = bench.prepare("phases", hold="training")
    viewer = bench.viewer(run, "--terminal")
    until(lambda: steps(run) > 0, "training")
    os.killpg(viewer.pid, signal.SIGKILL)
    viewer.wait()
    before = steps(run)
    until(lambda: steps(run) > before, "more steps")
    assert run.alive()


# Real training


def project(folder: Path, model: Path) -> Path:
    """Training and a merge of the tiny model."""
    train = train_config(folder, model, num_train_epochs=2.0, save_steps=5)
    merge = {"model_name_or_path": str(model), "adapter_name_or_path": "saves/out", "export_dir": "models/out"}
    write_yaml(folder / "merge.yaml", merge)
    return write_yaml(folder / "config.yaml", {"train": train.name, "merge": "merge.yaml"})


def newest(logs: Path) -> RunFolder | None:
    folders = sorted(path.parent for path in logs.glob("*/events.jsonl"))
    return RunFolder(folders[-1]) if folders else None


def replay(config: Path) -> Line:
    return Line([*TOOL, "--replay", str(config)], config.parent, terminal_environment())


def reached(logs: Path, name: str) -> Any:
    """The run, once it has come to the phase `name`."""
    run = newest(logs)
    return run if run and any(event.get("name") == name for event in read_events(run.events_file)) else None


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PHASES)
def test_a_lost_viewer_of_real_work(tmp_path: Path, tiny_model: Path, name: str, way: str) -> None:
    """Tokenising, loading, training, saving, merging: the adapter and the merged model come out of it, or a resume."""
    config = project(tmp_path, tiny_model)
    with replay(config) as line:
        run: RunFolder = wait_for(lambda: reached(tmp_path / "logs", name))
        viewer = line.pid()
        WAYS[way](line)
        wait_for(lambda: gone(viewer))
        wait_for(lambda: not run.alive(), 240)
        end = closing(run)
        assert end["type"] == "finished", end
        if way == "SIGTERM":
            assert line.code() == (75 if end["outcome"] == "stopped" else 0)
        else:
            assert end["outcome"] == "done"
    if end["outcome"] == "stopped":
        done = sft("resume", run.id, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "saves/out/adapter_model.safetensors").exists()
    assert (tmp_path / "models/out/model.safetensors").exists()


@pytest.mark.slow
def test_twenty_hang_ups_in_real_training(tmp_path: Path, tiny_model: Path) -> None:
    """20 of 20: training goes on after the link dropped, and a stop from elsewhere still saves it."""
    survived = 0
    for number in range(0, 20, 4):
        folders = [tmp_path / str(number + index) for index in range(4)]
        with ExitStack() as stack:
            lines = []
            for folder in folders:
                folder.mkdir()
                config = train_config(folder, tiny_model, num_train_epochs=5000.0, save_steps=100_000)
                lines.append(stack.enter_context(replay(config)))
            runs = [wait_for(lambda folder=folder: newest(folder / "saves/out/logs"), 240) for folder in folders]
            for run in runs:
                wait_for(lambda run=run: steps(run) >= 3, 240)
            for line in lines:
                line.hang_up()
            before = [steps(run) for run in runs]
            for run, seen in zip(runs, before, strict=True):
                wait_for(lambda run=run, seen=seen: steps(run) > seen + 3)
                control.stop(run)
            for run in runs:
                wait_for(lambda run=run: not run.alive())
                assert closing(run)["outcome"] == "stopped"
                survived += 1
    assert survived == 20
