"""The wizard's processes as they are: what they find, what they refuse, and a start that nothing stops."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import EXIT_OK, ProblemError, RunError
from engine.runs.follow import Viewer
from engine.runs.index import known
from engine.runs.launch import python_module, worker_environment
from engine.runs.results import results
from engine.runs.status import status
from engine.runs.view import RunView
from engine.wizard import draft, tasks
from engine.wizard.desk import Desk, ProcessDesk, settle
from engine.wizard.questions import Request
from engine.wizard.session import Wizard
from engine.wizard.steps import step
from tests.e2e.tool import wait_for
from tests.unit.wizards import quiet

GOOD = "instruction,output\n" + "".join(f"what is {number}?,the answer {number}\n" for number in range(12))
QUICK = {"train.max_steps": "2", "train.per_device_train_batch_size": "2", "train.cutoff_len": "64", "merge": "no"}


@pytest.fixture(autouse=True)
def alone(private_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model or run of the person who runs the tests; no network; one thread for a tiny model."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(private_home / "hub"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def find(what: str, subject: str = "", **options: str) -> Any:
    return ProcessDesk().find(Request(what, subject, tuple(options.items())), quiet)


def refused(what: str, subject: str = "") -> list[str]:
    with pytest.raises(ProblemError) as caught:
        find(what, subject)
    return [problem.code for problem in caught.value.problems]


def filled(cwd: Path, model: Path, **changes: str) -> Wizard:
    """A wizard with a tiny model and rows of its own, ready to start."""
    (cwd / "mine.csv").write_text(GOOD)
    wizard = Wizard(cwd)
    answers = {"model": "folder", "model_folder": str(model), "data": "file", "data_file": "mine.csv", **QUICK}
    for name, given in (answers | changes).items():
        assert wizard.answer(name, given) == [], name
    settle(wizard, "review", ProcessDesk(), quiet)
    assert wizard.problems("review") == []
    return wizard


def test_models_of_this_machine(home_with_model: Path) -> None:
    """What needs no download stands in the list, the built-in one under its own name only."""
    assert [model["name"] for model in find("models")] == ["smollm2-135m"]


def test_a_model_folder(tiny_model: Path) -> None:
    """Its size comes from headers, in a moment, whatever it weighs."""
    found = find("model", str(tiny_model))
    assert found["here"] and found["model_type"] == "llama" and found["parameters"] > 10_000


def test_models_that_cannot_be_used(tmp_path: Path) -> None:
    """Each with its own reason: an adapter, an empty folder, a typing slip, a hub that is not reached."""
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    assert refused("model", str(tmp_path / "adapter")) == ["model_is_adapter"]
    assert refused("model", str(tmp_path)) == ["model_folder_incomplete"]
    assert refused("model", str(tmp_path / "missing")) == ["model_missing"]
    assert not find("model", "owner/name")["known"]  # the hub is asked by name only
    assert refused("hub", "owner/name") == ["model_offline"]
    assert refused("model", "no name") == ["model_missing"]


def test_data_and_data_sets(tmp_path: Path) -> None:
    """The same through a process as without one."""
    (tmp_path / "mine.csv").write_text(GOOD)
    assert find("datasets", str(tmp_path)) == {"registered": [], "files": ["mine.csv"]}
    found = find("data", str(tmp_path / "mine.csv"))
    assert (found["rows"], found["whole"], found["mapping"]["response"]) == (12, True, "output")
    chosen = find("data", str(tmp_path / "mine.csv"), prompt="output", response="instruction")
    assert chosen["preview"][0] == ["user", "the answer 0"]
    assert find("data", "sample:identity")["rows"] > 50
    assert refused("data", str(tmp_path / "missing.csv")) == ["data_file_missing"]
    assert refused("data", "sample:none") == ["sample_unknown"]


def test_what_goes_wrong_inside_is_a_problem_too(private_home: Path) -> None:
    """No traceback on the screen: it goes to the log."""
    assert refused("elsewhere") == ["internal"]
    assert "KeyError" in next(private_home.rglob("wizard.log")).read_text()


@pytest.mark.parametrize(
    ("command", "how"),
    [
        ((sys.executable, "-c", "raise SystemExit(7)"), "exit code 7"),
        ((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), "exit code -9"),
        (("/nowhere/python",), "No such file or directory"),
    ],
)
def test_a_process_that_dies_is_told(command: tuple[str, ...], how: str) -> None:
    """The kernel kills when memory runs out: the wizard says so and can ask again."""
    with pytest.raises(RunError) as caught:
        ProcessDesk(command).find(Request("model", "x"), quiet)
    assert caught.value.problems[0].code == "helper_died"
    assert caught.value.problems[0].params == {"what": "x", "how": how}


def test_what_is_looked_into_can_be_given_up() -> None:
    """A model on a dead network drive must not keep a person waiting."""
    desk = ProcessDesk((sys.executable, "-c", "import time; time.sleep(60)"))
    ended: list[BaseException] = []

    def look() -> None:
        try:
            desk.find(Request("model", "x"), quiet)
        except ProblemError as error:
            ended.append(error)

    thread = threading.Thread(target=look)
    began = time.monotonic()
    thread.start()
    while thread.is_alive() and time.monotonic() - began < 20:
        desk.cancel()
        time.sleep(0.05)
    thread.join(1)
    assert ended and time.monotonic() - began < 20


def test_start_writes_the_project_and_its_run_finishes(tmp_path: Path, tiny_model: Path) -> None:
    """The wizard's Start, from the answers to an adapter; once more finds nothing to do."""
    desk: Desk = ProcessDesk()
    wizard = filled(tmp_path, tiny_model)
    started = desk.start(wizard, quiet)
    assert started.run and started.config == tmp_path / "mine-lora/config.yaml"
    assert {"no_gpu"} <= {note.code for note in started.notes}
    with Viewer(lambda event: None, has_terminal=False, attached=True) as viewer:
        ending = viewer.attach(started.run, RunView(started.run).reader)
    assert ending.exit_code == EXIT_OK, started.run.log_tail()
    assert (Path(started.outputs["adapter"]) / "adapter_model.safetensors").exists()
    assert started.run.config()["steps"] == ["train"]

    wait_for(lambda: not status(started.run).alive)
    assert desk.start(wizard, quiet).run is None


@pytest.mark.slow
def test_what_was_only_trained_is_merged_afterwards(tmp_path: Path, tiny_model: Path) -> None:
    """From the last screen: the merge of the project's own config, proved, and not done twice."""
    desk, wizard = ProcessDesk(), filled(tmp_path, tiny_model)
    started = desk.start(wizard, quiet)
    assert started.run is not None
    with Viewer(lambda event: None, has_terminal=False, attached=True) as viewer:
        assert viewer.attach(started.run, RunView(started.run).reader).exit_code == EXIT_OK

    merging = results(started.run, started.config, started.outputs).merging
    assert merging is not None
    merged = desk.merge(merging, quiet)
    assert merged.run is not None and merged.run.config()["steps"] == ["merge"]
    with Viewer(lambda event: None, has_terminal=False, attached=True) as viewer:
        assert viewer.attach(merged.run, RunView(merged.run).reader).exit_code == EXIT_OK, merged.run.log_tail()
    found = results(merged.run, merged.config, merged.run.outputs())
    assert found.merging is None and found.figures.proof is not None and found.figures.loss is not None
    wait_for(lambda: not status(merged.run).alive)
    assert desk.merge(merging, quiet).run is None


def test_a_start_that_is_refused_writes_no_run(tmp_path: Path, tiny_model: Path) -> None:
    """The reason comes back to the review, where it can be mended."""
    wizard = filled(tmp_path, tiny_model)
    (tmp_path / "mine.csv").unlink()
    with pytest.raises(ProblemError) as caught:
        ProcessDesk().start(wizard, quiet)
    assert caught.value.problems[0].code == "data_file_missing"
    assert not list(tmp_path.glob("mine-lora/logs/*"))


@pytest.mark.parametrize("began_anew", [True, False])
def test_a_start_drops_the_draft_of_its_own_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began_anew: bool
) -> None:
    """Who left while a download went on, and answers for another run meanwhile, loses none of that."""
    wizard, new = Wizard(tmp_path), Wizard(tmp_path)
    assert wizard.answer("preset", "8gb") == [] == new.answer("preset", "24gb")
    draft.save(wizard, step("settings"))  # before its folder is settled
    answers = wizard.begin()

    def launch(config: Path, progress: Any, **options: Any) -> dict[str, Any]:
        if began_anew:
            draft.save(new, step("settings"))
        return {}

    monkeypatch.setattr(tasks, "_launch", launch)
    tasks.start(answers, "8gb", False, "", False, quiet, wizard.answers)
    found = draft.load()
    assert (found and found.answers) == (new.answers if began_anew else None)


def test_a_start_goes_on_when_the_wizard_is_gone_and_its_terminal_too(tmp_path: Path, tiny_model: Path) -> None:
    """The link drops in the second after Start was pressed: the run is there all the same."""
    wizard = filled(tmp_path, tiny_model)
    answers = msgspec.to_builtins(wizard.begin(), enc_hook=str)
    asked = {"do": "start", "answers": answers, "preset": "cpu", "force": False, "gpu": "", "anyway": False}
    asked["given"] = wizard.answers
    process = subprocess.Popen(
        python_module("engine.wizard.tasks"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=worker_environment(),
    )
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(asked) + "\n")
    process.stdin.close()
    assert "progress" in json.loads(process.stdout.readline())
    process.stdout.close()
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0
    (run,) = known(tmp_path / "mine-lora")
    with Viewer(lambda event: None, has_terminal=False, attached=True) as viewer:
        assert viewer.attach(run, RunView(run).reader).exit_code == EXIT_OK
    assert status(run).state == "finished"
