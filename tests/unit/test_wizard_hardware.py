"""The machine and the card: what is told of it, which one is taken, and that the run gets the one that was chosen."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.doctor.check import Check
from engine.errors import ProblemError
from engine.hardware import GIB, Gpu, GpuProcess, Hardware
from engine.messages import render
from engine.runs.folder import RunFolder
from engine.text import Phrase, listed
from engine.wizard.desk import ProcessDesk
from engine.wizard.device import chosen, forget, machine_of, pinned
from engine.wizard.draft import Draft
from engine.wizard.facts import about
from engine.wizard.memory import Need, need
from engine.wizard.questions import Request
from engine.wizard.session import Machine, Wizard
from engine.wizard.table import table
from engine.wizard.tasks import same_card
from tests.pilot.checkups import checks_of
from tests.unit.wizards import HOST, HereDesk, Script, begun, look, machine, quiet
from tui.plain import run_plain

SMALL, LARGE = "GPU-0", "GPU-1"


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """No model or draft of the person who runs the tests is found."""


class Doctor(HereDesk):
    """A desk that is asked for the checks of its machine."""

    def find(self, request: Request, progress: Any) -> Any:
        return checks_of(self.machine) if request.what == "checks" else super().find(request, progress)


def test_the_freest_card_is_recommended_and_any_can_be_chosen(tmp_path: Path) -> None:
    """The run, and every estimate, is of the one that was chosen."""
    wizard = begun(tmp_path, 10.0, 70.0)
    assert wizard.value("gpu") == LARGE and not pinned(wizard)
    assert [(choice.value, choice.recommended) for choice in table()["gpu"].choices(wizard)] == [
        (LARGE, True),
        (SMALL, False),
    ]
    first = wizard.value("model"), wizard.value("preset")
    assert wizard.answer("gpu", SMALL) == []
    taken, machine = chosen(wizard), machine_of(wizard)
    assert taken is not None and machine is not None
    assert taken.uuid == pinned(wizard) == SMALL and machine.hardware.gpus == (taken,)
    assert (wizard.value("model"), wizard.value("preset")) != first
    assert "10 GB" in wizard.default("model").reason.say()


def test_the_estimate_moves_with_the_card(tmp_path: Path) -> None:
    """What was reckoned for one card is not shown for the other."""
    wizard = begun(tmp_path, 10.0, 70.0, model="smollm2-135m", preset="8gb")
    free = []
    for uuid in (SMALL, LARGE):
        assert wizard.answer("gpu", uuid) == []
        found = need(wizard)
        assert isinstance(found, Need)
        free.append((found.device.uuid, found.device.free))
    assert free == [(SMALL, 10 * GIB), (LARGE, 70 * GIB)]


def test_one_card_leaves_nothing_to_choose(tmp_path: Path) -> None:
    """The question would only be in the way; nor does the command name the card."""
    wizard = begun(tmp_path, 10.0)
    assert [question.id for question in wizard.questions("hardware")] == []
    assert wizard.command().startswith("sft-wizard --replay ")


def test_who_is_on_a_card_is_told_before_it_is_chosen(tmp_path: Path) -> None:
    """On a shared server that is somebody's work."""
    wizard = Wizard(tmp_path)
    busy = Gpu(
        0, "GPU-0", "A100", 80 * GIB, 20 * GIB, used=60 * GIB, processes=(GpuProcess(7, "python", "ada", 60 * GIB),)
    )
    cards = (busy, Gpu(1, "MIG-1", "A100 MIG 3g.40gb", 40 * GIB, 39 * GIB, slice=1, card="GPU-1"))
    wizard.learn(Request("hardware"), Machine(Hardware(cards, driver="580.95"), HOST))
    labels = [(choice.label.say(), choice.note.say()) for choice in table()["gpu"].choices(wizard)]
    assert labels == [
        ("GPU 1:1: A100 MIG 3g.40gb", "39.0 of 40.0 GB free"),
        ("GPU 0: A100", "20.0 of 80.0 GB free, 60.0 GB used by python (pid 7, ada, 60.0 GB)"),
    ]


def test_the_choice_reaches_the_command_and_the_start(tmp_path: Path) -> None:
    """What is copied from the review does what Start does."""
    seen = tmp_path / "asked.json"
    echo = f"import sys; open({str(seen)!r}, 'w').write(sys.stdin.readline()); print('{{\"problems\": []}}')"
    wizard = begun(tmp_path, 10.0, 70.0, gpu=SMALL)
    assert wizard.command() == "CUDA_VISIBLE_DEVICES=GPU-0 sft-wizard --replay identity-lora/config.yaml"
    assert "gpu" in [answer.question.id for answer in wizard.review()]
    with pytest.raises(ProblemError):
        ProcessDesk((sys.executable, "-c", echo)).start(wizard, quiet)
    assert json.loads(seen.read_text())["gpu"] == SMALL


def test_a_start_on_a_card_that_is_gone_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    """It must not train on the processor, or on another's card, without a word."""
    wizard = begun(tmp_path, 10.0, 70.0, gpu=LARGE, model="folder", model_folder=str(tiny_model))
    with pytest.raises(ProblemError) as caught:
        ProcessDesk().start(wizard, quiet)
    (problem,) = caught.value.problems
    assert problem.code == "gpu_not_there" and LARGE in render(problem)
    assert not (tmp_path / "identity-lora").exists()


def test_a_draft_keeps_the_card_and_says_when_it_is_gone(tmp_path: Path) -> None:
    """A machine without it, or a container that shows others."""
    draft = Draft({"gpu": SMALL, "preset": "8gb"}, "settings", tmp_path)
    there = draft.wizard()
    look(there, HereDesk(10.0, 70.0))
    assert pinned(there) == SMALL and there.notes("hardware") == []
    missing = draft.wizard()
    look(missing, HereDesk(70.0))
    assert pinned(missing) == SMALL  # the only card has that number
    for cards, name in (((), "the processor"), ((Gpu(3, "GPU-3", "L4", 24 * GIB, 23 * GIB),), "L4")):
        gone = draft.wizard()
        gone.learn(Request("hardware"), Machine(Hardware(cards), HOST))
        (note,) = gone.notes("hardware")
        assert SMALL in render(note) and f"{name} is taken instead" in render(note).replace("The ", "the ")
        assert not pinned(gone) and gone.command().startswith("sft-wizard")
        assert gone.problems("hardware") == []


def test_what_is_not_offered_is_not_taken(tmp_path: Path) -> None:
    """A typing slip at the plain prompt."""
    wizard = begun(tmp_path, 10.0, 70.0)
    assert [problem.code for problem in wizard.answer("gpu", "GPU-9")] == ["answer_not_offered"]


def test_the_list_is_the_doctors_with_what_to_do(tmp_path: Path) -> None:
    """GPU first; of what is not about training only what is not well."""
    wizard = begun(tmp_path, 10.0, desk=Doctor(10.0))
    lines = [phrase.say() for phrase in about(wizard, "hardware")]
    assert lines[:3] == [
        "ok: GPU driver: NVIDIA 580.95.05, GPUs: 1",
        "ok: GPU 0: Card 0, 10.0 of 11.0 GB free",
        "ok: PyTorch: 2.13.0, built for CUDA 12.6",
    ]
    assert any("no token" in line for line in lines) and any("63.9 GB free" in line for line in lines)
    assert not any("Temporary" in line or "Optional" in line for line in lines)


def test_without_a_gpu_the_reason_the_remedy_and_the_speed_are_told(tmp_path: Path) -> None:
    """It may be a driver that is not loaded, which a person can mend."""
    wizard = begun(tmp_path, desk=Doctor())
    lines = [phrase.say() for phrase in about(wizard, "hardware")]
    assert lines[0].startswith("Training goes on the processor, many times slower")
    assert lines[1] == "FAILED: GPU driver: no GPU can be used: no GPU in this test"


def test_checks_come_back_from_the_process_as_they_are(tmp_path: Path) -> None:
    """Their words are translated where they are shown, those inside of them too."""
    inner = listed([Phrase("{free} of {total} GB free", {"free": 1, "total": 2}), Phrase("no bf16: fp16 is used")])
    check = Check("gpu.0", "warn", Phrase("GPU {label}", {"label": "0"}), inner, Phrase("End that."))
    assert Check.unpacked(json.loads(json.dumps(check.packed()))) == check
    found = [Check.unpacked(raw) for raw in ProcessDesk().find(Request("checks", str(tmp_path)), quiet)]
    assert {"gpu", "torch", "memory", "folder.cwd", "hub", "python"} <= {check.id for check in found}


def test_looking_again_forgets_the_machine_only(tmp_path: Path) -> None:
    """After a driver was loaded nobody wants to begin anew."""
    wizard = begun(tmp_path, 10.0)
    forget(wizard)
    assert [request.what for request in wizard.needs("hardware")] == ["hardware", "checks"]
    assert wizard.found("models") is not None
    look(wizard, HereDesk(10.0, 70.0))
    assert [question.id for question in wizard.questions("hardware")] == ["gpu"]


@pytest.mark.parametrize(
    ("environ", "there", "shown"),
    [({}, True, "GPU-1"), ({}, False, None), ({"CUDA_VISIBLE_DEVICES": "2"}, True, "2")],
    ids=["same", "gone", "named otherwise"],
)
def test_a_run_that_is_started_again_stays_on_its_card(
    tmp_path: Path, environ: dict[str, str], there: bool, shown: str | None
) -> None:
    """The others may be somebody's by now."""
    run = RunFolder.create(tmp_path, "again", {"visible": LARGE})
    gpus = machine(10.0, 70.0).hardware.gpus if there else ()
    same_card(run, environ, lambda visible: Hardware(gpus))
    assert environ.get("CUDA_VISIBLE_DEVICES") == shown


def test_plain_prompts_ask_for_the_card(tmp_path: Path) -> None:
    """A number, as everything else."""
    script = Script(["", "2", EOFError])
    wizard = Wizard(tmp_path)
    run_plain(wizard, Doctor(10.0, 70.0), prompts=script)
    assert "1. GPU 1: Card 1: 70.0 of 71.0 GB free; recommended: it has most free memory" in script.text
    assert wizard.answers["gpu"] == SMALL
    assert "ok: Memory: 30.0 of 32.0 GB free" in script.text
