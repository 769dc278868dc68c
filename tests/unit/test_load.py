"""What a run takes right now: of its own card, not of the first one; and nothing breaks where it cannot be asked."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest

from engine.hardware.load import Load, Meter
from tests.unit.nvml_reports import ReportedNvml

PID = 4711


class Nvml(ReportedNvml):
    """A report whose cards can be asked for by UUID."""

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any:
        for card in self.report["cards"]:
            if card.get("uuid") == uuid:
                return card
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)


def card(number: int, **more: Any) -> dict[str, Any]:
    memory = {"total": 24 << 30, "free": (24 - number) << 30, "used": number << 30}
    return {"uuid": f"GPU-{number}", "memory": memory, "utilisation": 90 + number, "temperature": 60 + number, **more}


def process(pid: int) -> Any:
    figures = {"memory_info": lambda: SimpleNamespace(rss=3 << 30), "cpu_percent": lambda: 181.6}
    return SimpleNamespace(pid=pid, oneshot=nullcontext, **figures)


def root_of(tmp_path: Path, visible: str | None) -> Path:
    folder = tmp_path / "proc" / str(PID)
    folder.mkdir(parents=True)
    shown = "" if visible is None else f"CUDA_VISIBLE_DEVICES={visible}\0"
    (folder / "environ").write_text(f"HF_TOKEN=secret\0{shown}PATH=/bin\0")
    return tmp_path


def read(tmp_path: Path, visible: str | None, *cards: dict[str, Any], device: str = "cuda:0") -> Load | None:
    return Meter(lambda: Nvml({"cards": [*cards]}), process, root_of(tmp_path, visible)).read(PID, device)


def test_the_figures_are_those_of_the_card_that_the_worker_sees(tmp_path: Path) -> None:
    found = read(tmp_path, "GPU-2", card(1), card(2))
    assert found == Load(True, 2 << 30, 24 << 30, busy=92, temperature=62)


def test_a_lone_card_needs_no_name(tmp_path: Path) -> None:
    assert read(tmp_path, None, card(1)) == Load(True, 1 << 30, 24 << 30, busy=91, temperature=61)


def test_what_the_driver_does_not_say_is_left_out(tmp_path: Path) -> None:
    """A MIG slice has memory of its own, and neither load nor temperature."""
    bare = card(1)
    del bare["utilisation"], bare["temperature"]
    assert read(tmp_path, "GPU-1", bare) == Load(True, 1 << 30, 24 << 30)


@pytest.mark.parametrize("visible", [None, "GPU-9", "0"])
def test_where_the_card_is_not_known_the_process_is_looked_at(tmp_path: Path, visible: str | None) -> None:
    found = read(tmp_path, visible, card(1), card(2))
    assert found is not None and not found.gpu and (found.used, found.busy) == (3 << 30, 182)


def test_on_a_processor_the_driver_is_never_asked(tmp_path: Path) -> None:
    """nvmlInit takes a while, and wakes up cards that sleep."""

    def never() -> Any:
        raise AssertionError("NVML was asked")

    found = Meter(never, process, root_of(tmp_path, "")).read(PID, "cpu")
    assert found is not None and not found.gpu and found.total > 0


def test_a_driver_that_fails_is_asked_once(tmp_path: Path) -> None:
    asked = []

    def broken() -> Any:
        asked.append(1)
        return ReportedNvml.failing("DRIVER_NOT_LOADED")

    meter = Meter(broken, process, root_of(tmp_path, None))
    assert meter.read(PID, "cuda") is not None and meter.read(PID, "cuda") is not None
    assert asked == [1]


def test_a_worker_that_is_gone_has_no_figures() -> None:
    def gone(pid: int) -> Any:
        raise psutil.NoSuchProcess(pid)

    assert Meter(process=gone).read(PID, "cpu") is None
    own = Meter().read(os.getpid(), "cpu")
    assert own is not None and own.used > 1 << 20
