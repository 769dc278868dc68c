"""The wizard's first step: what makes a card less than its name is said before anything is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.hardware import GIB, Gpu, Hardware, Host, probe
from engine.wizard.session import HARDWARE, Machine, Wizard
from tests.unit.nvml_reports import ReportedNvml

HOST = Host("A processor", 8, 32 * GIB, 30 * GIB)


def lines(cwd: Path, hardware: Hardware) -> list[str]:
    wizard = Wizard(cwd)
    wizard.learn(HARDWARE, Machine(hardware, HOST))
    return [str(line) for line in wizard.about("hardware")]


def test_a_busy_card_names_who_uses_it(tmp_path: Path) -> None:
    shown = lines(tmp_path, probe(ReportedNvml.of("eight_h100"), root=tmp_path))
    assert "GPU 3: 59.6 GB used by pid 4242, 60.0 GB" in shown
    assert sum("used by" in line for line in shown) == 1
    assert "The run takes the one with most free memory: GPU 0." in shown


def test_a_slice_is_named_as_one(tmp_path: Path) -> None:
    shown = lines(tmp_path, probe(ReportedNvml.of("mig_a100"), "0", root=tmp_path))
    assert shown[0] == "GPU 0:0: NVIDIA A100-SXM4-80GB MIG 3g.40gb, 39.2 of 39.2 GB free"
    assert "The run takes the one with most free memory: GPU 0:0." in shown


def test_doubts_about_cuda_visible_devices_are_said(tmp_path: Path) -> None:
    shown = lines(tmp_path, probe(ReportedNvml.of("mixed"), "0", order="", root=tmp_path))
    assert any("counts as nvidia-smi does" in line for line in shown)


@pytest.mark.parametrize(
    ("gpu", "told"),
    [
        (Gpu(0, "GPU-0", "T4", GIB, GIB, capability=(7, 5)), "GPU 0 has no bf16: fp16 is used."),
        (Gpu(0, "GPU-0", "GB10", GIB, GIB, unified=True), "GPU 0 shares the processor's memory."),
    ],
)
def test_what_a_card_lacks(gpu: Gpu, told: str, tmp_path: Path) -> None:
    assert told in lines(tmp_path, Hardware((gpu,)))
    sound = lines(tmp_path, Hardware((Gpu(0, "GPU-0", "L4", GIB, GIB, 0, capability=(8, 9)),)))
    assert [line.partition(":")[0] for line in sound] == ["GPU 0", "Processor", "Memory"]
