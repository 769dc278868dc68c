"""GPUs through NVML: a broken driver or card is a reason and a slow run, never a traceback."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.hardware import GIB, host, probe
from engine.project import recommend


class NVMLError(Exception):
    pass


class NVMLError_LibraryNotFound(NVMLError):  # noqa: N801 -- NVML's own name
    pass


class NVMLError_DriverNotLoaded(NVMLError):  # noqa: N801
    pass


class NVMLError_NoPermission(NVMLError):  # noqa: N801
    pass


@dataclass
class FakeNvml:
    """Cards as (uuid, GiB free of 80); None is one that fell off the bus."""

    cards: list[tuple[str, float] | None] = field(default_factory=list)
    on_init: NVMLError | None = None
    on_count: NVMLError | None = None
    as_bytes: bool = False
    open: int = 0
    NVMLError = NVMLError

    def nvmlInit(self) -> None:
        if self.on_init:
            raise self.on_init
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> str | bytes:
        return b"580.95.05" if self.as_bytes else "580.95.05"

    def nvmlDeviceGetCount(self) -> int:
        if self.on_count:
            raise self.on_count
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> tuple[str, float]:
        card = self.cards[index]
        if card is None:
            raise NVMLError("GPU is lost")
        return card

    def nvmlDeviceGetMemoryInfo(self, handle: tuple[str, float]) -> SimpleNamespace:
        return SimpleNamespace(total=80 * GIB, free=int(handle[1] * GIB))

    def nvmlDeviceGetUUID(self, handle: tuple[str, float]) -> str | bytes:
        return handle[0].encode() if self.as_bytes else handle[0]

    def nvmlDeviceGetName(self, handle: tuple[str, float]) -> str | bytes:
        return b"NVIDIA H100" if self.as_bytes else "NVIDIA H100"


TWO = [("GPU-aaaa-1", 10.0), ("GPU-bbbb-2", 70.0)]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_the_card_with_most_free_memory_is_best(as_bytes: bool) -> None:
    nvml = FakeNvml(TWO, as_bytes=as_bytes)
    hardware = probe(nvml)
    assert [gpu.uuid for gpu in hardware.gpus] == ["GPU-aaaa-1", "GPU-bbbb-2"]
    best = hardware.best()
    assert best and (best.uuid, best.name, best.free, best.total) == ("GPU-bbbb-2", "NVIDIA H100", 70 * GIB, 80 * GIB)
    assert nvml.open == 0
    assert hardware.driver == "580.95.05"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NVMLError_LibraryNotFound("x"), "no NVIDIA driver is installed"),
        (NVMLError_DriverNotLoaded("x"), "the NVIDIA driver is not loaded"),
        (NVMLError_NoPermission("x"), "no permission to use the NVIDIA driver"),
        (NVMLError("Driver/library version mismatch"), "Driver/library version mismatch"),
    ],
)
def test_without_a_driver_there_is_a_reason(error: NVMLError, reason: str) -> None:
    hardware = probe(FakeNvml(on_init=error))
    assert (hardware.gpus, str(hardware.reason), hardware.best()) == ((), reason, None)


def test_an_error_later_is_a_reason_too() -> None:
    nvml = FakeNvml(TWO, on_count=NVMLError("Unknown Error"))
    assert (probe(nvml).gpus, str(probe(nvml).reason)) == ((), "Unknown Error")
    assert nvml.open == 0


def test_a_lost_card_leaves_the_others_usable() -> None:
    hardware = probe(FakeNvml([None, *TWO]))
    assert [gpu.index for gpu in hardware.gpus] == [1, 2]
    assert str(probe(FakeNvml([None])).reason) == "GPU is lost"


def test_no_card_at_all() -> None:
    assert str(probe(FakeNvml()).reason) == "NVML lists no device"


@pytest.mark.parametrize(
    ("visible", "kept"),
    [
        ("0", ["GPU-aaaa-1"]),
        ("1", ["GPU-bbbb-2"]),
        ("1,0", ["GPU-aaaa-1", "GPU-bbbb-2"]),
        ("GPU-bbbb-2", ["GPU-bbbb-2"]),
        ("GPU-b", ["GPU-bbbb-2"]),
        (" 0 , ", ["GPU-aaaa-1"]),
        ("", []),
        ("-1", []),
        ("7", []),
        ("GPU-none", []),
    ],
)
def test_cuda_visible_devices_narrows(visible: str, kept: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler gave us these cards; the others belong to somebody else."""
    assert [gpu.uuid for gpu in probe(FakeNvml(TWO), visible).gpus] == kept
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    hardware = probe(FakeNvml(TWO))
    assert [gpu.uuid for gpu in hardware.gpus] == kept
    assert bool(str(hardware.reason)) is not bool(kept)


@pytest.mark.parametrize(
    ("free", "preset"), [(None, "cpu"), (2, "cpu"), (9, "8gb"), (17, "16gb"), (21, "16gb"), (23, "24gb"), (70, "24gb")]
)
def test_the_preset_fits_the_free_memory(free: float | None, preset: str) -> None:
    cards: list[tuple[str, float] | None] = [] if free is None else [("GPU-x", free)]
    assert recommend(probe(FakeNvml(cards))).name == preset


def test_the_real_library_answers_here() -> None:
    hardware = probe()
    assert hardware.gpus or str(hardware.reason)


def test_memory_is_that_of_the_container(tmp_path: Path) -> None:
    """A container with 2 GiB on a machine with more must not promise the machine's memory."""
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor : 0\nmodel name : Fast CPU @ 3 GHz\n")
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(f"{2 * GIB}\n")
    (tmp_path / "sys/fs/cgroup/memory.current").write_text(f"{GIB}\n")
    found = host(tmp_path)
    assert (found.cpu, found.memory) == ("Fast CPU @ 3 GHz", 2 * GIB)
    assert found.free <= GIB
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert host(tmp_path).memory > 2 * GIB
