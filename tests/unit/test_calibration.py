"""What a machine measured, kept for its later estimates: by device, forgiving, and safe from several runs at once."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.memory import calibration
from engine.memory.calibration import Calibrated, factor, record
from engine.memory.job import Device, Parts, Recipe, StepPlan

GIB = 1 << 30
CARD = Device("cuda", "NVIDIA H100", 80 * GIB, 79 * GIB, "GPU-1", (9, 0))
RECIPE = Recipe(
    kind="cuda",
    method="lora",
    base="bfloat16",
    bits=None,
    double=False,
    autocast="bfloat16",
    trained="float32",
    rank=8,
    dropout=0.0,
    dora=False,
    targets=("q_proj",),
    saved=(),
    trained_layers=0,
    state=8.0,
    packed=True,
    micro_batch=1,
    attention="varlen",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "memory.jsonl"


def known(file: Path, *ratios: float) -> float:
    for ratio in ratios:
        record(CARD, RECIPE, 1000, round(1000 * ratio), file=file)
    return factor(CARD, RECIPE, file=file)


def test_nothing_measured_changes_nothing(file: Path) -> None:
    assert factor(CARD, RECIPE, file=file) == 1.0
    assert not file.exists()


def test_it_is_the_largest_of_the_last_five(file: Path) -> None:
    """Too low an estimate ends in a shortage; but one odd run must not make every later one slow."""
    assert known(file, 0.9, 1.1, 1.05) == 1.1
    assert known(file, 1.0, 0.9, 0.9, 0.9) == 1.05  # 1.1 is the sixth from the end
    assert known(file, 0.8, 0.8, 0.8, 0.8, 0.8) == 0.8


@pytest.mark.parametrize(("ratio", "expected"), [(7.0, 2.0), (0.01, 0.5)])
def test_a_figure_that_cannot_be_does_no_harm(file: Path, ratio: float, expected: float) -> None:
    assert known(file, ratio) == expected


def test_other_devices_and_attentions_have_their_own(file: Path) -> None:
    assert known(file, 1.3) == 1.3
    assert factor(replace(CARD, name="NVIDIA L4"), RECIPE, file=file) == 1.0
    assert factor(CARD, replace(RECIPE, attention="eager"), file=file) == 1.0
    assert factor(replace(CARD, uuid="GPU-2", free=GIB), RECIPE, file=file) == 1.3  # another card of that kind


def test_another_torch_has_its_own(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert known(file, 1.3) == 1.3
    monkeypatch.setattr(calibration, "_torch", lambda: "3.0.0")
    assert factor(CARD, RECIPE, file=file) == 1.0


@pytest.mark.parametrize(
    "damage", [b"\x00\xff\xfe", b"[1, 2]\n{}\nnull\n", b'{"predicted": "x"}\n', b"[" * 100_000 + b"\n", b'{"devi']
)
def test_a_damaged_file_is_no_file(file: Path, damage: bytes) -> None:
    """An estimate that died of it would take the wizard along."""
    file.write_bytes(damage)
    assert factor(CARD, RECIPE, file=file) == 1.0
    file.write_bytes(damage + b"\n")
    assert known(file, 1.2) == 1.2


@pytest.mark.parametrize(("predicted", "measured"), [(0, 5), (5, 0), (-1, 5)])
def test_what_was_not_measured_is_not_noted(file: Path, predicted: int, measured: int) -> None:
    record(CARD, RECIPE, predicted, measured, file=file)
    assert not file.exists()


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    record(CARD, RECIPE, 1, 1, file=tmp_path / "file" / "memory.jsonl")
    assert factor(CARD, RECIPE, file=tmp_path / "file" / "memory.jsonl") == 1.0


def test_it_does_not_grow_for_ever(file: Path) -> None:
    record(CARD, RECIPE, 1000, 1900, file=file)
    line = file.read_bytes()
    file.write_bytes(line * (calibration.FULL // len(line) + 1))
    assert known(file, *[1.1] * 5) == 1.1
    assert calibration.FULL / 3 < file.stat().st_size < calibration.FULL
    assert file.stat().st_mode & 0o077 == 0


def test_runs_that_end_at_once_lose_nothing(file: Path) -> None:
    """Several runs share a home; a reading and a writing back would lose all but one."""
    work = (
        "import sys; from pathlib import Path; from tests.unit.test_calibration import *\n"
        "for _ in range(50): record(CARD, RECIPE, 1000, 1000 + int(sys.argv[2]), file=Path(sys.argv[1]))"
    )
    started = [subprocess.Popen([sys.executable, "-c", work, str(file), str(number)]) for number in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    entries = calibration._entries(file)
    assert len(entries) == 200 == len(file.read_bytes().splitlines())
    assert {entry["measured"] for entry in entries} == {1000, 1001, 1002, 1003}


def test_only_what_is_not_known_from_files_is_scaled() -> None:
    costs = SimpleNamespace(parts=lambda plan: Parts(100, 20, plan.row_tokens, 30, 7))
    assert Calibrated(costs, 1.5).parts(StepPlan(60)) == Parts(100, 20, 90, 45, 7)
