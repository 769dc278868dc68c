"""GPUs through NVML: whatever is broken is a reason with a remedy, and what is left stays usable."""

from __future__ import annotations

import json
import os
import pwd
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.hardware import GIB, Gpu, probe, visible_device
from engine.runs.surroundings import FIRST_NAMESPACE
from tests.golden.record_nvml import record
from tests.unit.nvml_reports import ReportedNvml, failure

MIB = 1 << 20


def card(uuid: str, free: float = 70, **members: Any) -> dict[str, Any]:
    """A card of 80 GiB that says nothing beyond what is needed."""
    sizes = {"total": 80 * GIB, "free": int(free * GIB), "used": int((80 - free) * GIB)}
    return {"uuid": uuid, "name": "NVIDIA H100", "memory": sizes, **members}


def cards(*there: dict[str, Any], **members: Any) -> ReportedNvml:
    return ReportedNvml({"driver": "580.95.05", "cuda": 13000, "cards": list(there), **members})


TWO = (card("GPU-aaaa-1", 10), card("GPU-bbbb-2", 70))
LOST = {"error": "GPU_IS_LOST"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine, not a container, where process 4242 is a python of ours."""
    folder = tmp_path / "proc/4242"
    folder.mkdir(parents=True)
    (folder / "comm").write_text("python\n")
    (folder / "cmdline").write_text("python\0train.py\0--token=hf_secret\0")
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/pid").symlink_to(FIRST_NAMESPACE)
    return tmp_path


def test_one_card_with_all_its_fields(root: Path) -> None:
    nvml = ReportedNvml.of("one_l4")
    hardware = probe(nvml, root=root)
    (gpu,) = hardware.gpus
    assert (hardware.driver, hardware.cuda, hardware.fault, nvml.open) == ("570.86.15", (12, 8), "", 0)
    assert (gpu.name, gpu.label, gpu.total, gpu.free, gpu.used) == (
        "NVIDIA L4",
        "0",
        23034 * MIB,
        (23034 - 494) * MIB,  # what the driver keeps for itself is neither free
        0,  # nor used by others
    )
    assert (gpu.capability, gpu.bf16, gpu.fp8) == ((8, 9), True, True)
    assert (gpu.temperature, gpu.power_limit, gpu.utilisation, gpu.nvlinks) == (41, 72, 0, 0)
    assert (gpu.processes, gpu.slice, gpu.unified) == ((), None, False)


def test_eight_cards_and_who_uses_one(root: Path) -> None:
    hardware = probe(ReportedNvml.of("eight_h100"), root=root)
    assert [gpu.index for gpu in hardware.gpus] == list(range(8))
    assert {gpu.nvlinks for gpu in hardware.gpus} == {18}
    busy = hardware.gpus[3]
    assert (busy.used, busy.utilisation) == (61000 * MIB, 97)
    (process,) = busy.processes
    me = pwd.getpwuid(os.getuid()).pw_name
    assert (process.pid, process.name, process.user, process.memory) == (4242, "python", me, 60 * GIB)
    assert "secret" not in repr(hardware)
    best = hardware.best()
    assert best and best.index == 0


def test_in_a_container_a_pid_is_somebody_else_s(root: Path) -> None:
    """NVML counts the machine's processes; /proc/4242 in here is another one."""
    (root / "proc/self/ns/pid").unlink()
    (root / "proc/self/ns/pid").symlink_to("pid:[4026533000]")
    (process,) = probe(ReportedNvml.of("eight_h100"), root=root).gpus[3].processes
    assert (process.pid, process.name, process.user) == (4242, "", "")


def test_a_process_that_is_gone_has_no_name(root: Path) -> None:
    there = cards(card("GPU-1", compute=[{"pid": 7, "used": None}], graphics=[{"pid": 7, "used": GIB}]))
    (process,) = probe(there, root=root).gpus[0].processes
    assert (process.pid, process.name, process.memory) == (7, "", GIB)


def test_mig_slices_are_devices_of_their_own(root: Path) -> None:
    hardware = probe(ReportedNvml.of("mig_a100"), root=root)
    assert [(gpu.label, gpu.uuid[:12], gpu.total // MIB) for gpu in hardware.gpus] == [
        ("0:0", "MIG-11111111", 40192),
        ("0:2", "MIG-22222222", 9728),
        ("1", "GPU-a1000001", 81920),
    ]
    part = hardware.gpus[1]
    assert part.name == "NVIDIA A100-SXM4-80GB MIG 1g.10gb"
    assert part.card == "GPU-a1000000-1111-2222-3333-444444444444"
    assert (part.capability, part.bf16, part.fp8, part.temperature) == ((8, 0), True, False, 31)  # the card's
    assert [process.pid for process in part.processes] == [23824]
    assert hardware.gpus[0].processes == ()


def test_a_worker_gets_a_slice_by_its_uuid(root: Path) -> None:
    hardware = probe(ReportedNvml.of("mig_a100"), "0", root=root)
    assert visible_device(hardware=hardware) == {"CUDA_VISIBLE_DEVICES": "MIG-11111111-aaaa-5bbb-8ccc-dddddddddddd"}
    assert visible_device(use_cpu=True, hardware=hardware) == {"CUDA_VISIBLE_DEVICES": ""}
    assert visible_device(hardware=probe(cards())) == {}


def test_a_card_in_mig_mode_without_slices_says_so() -> None:
    hardware = probe(cards(card("GPU-1", mig=[1, 1], max_slices=7, slices={})))
    assert (hardware.gpus, hardware.fault) == ((), "lost")
    assert "MIG mode" in str(hardware.reason) and "nvidia-smi -mig 0" in str(hardware.remedy)


def test_a_part_without_memory_of_its_own_takes_the_hosts(root: Path) -> None:
    """GB10: NVML does not support the question. A container's limit holds for it too."""
    (root / "sys/fs/cgroup").mkdir(parents=True)
    (root / "sys/fs/cgroup/memory.max").write_text(f"{2 * GIB}\n")
    (root / "sys/fs/cgroup/memory.current").write_text(f"{GIB}\n")
    (gpu,) = probe(ReportedNvml.of("gb10"), root=root).gpus
    assert (gpu.unified, gpu.total, gpu.used) == (True, 2 * GIB, None)
    assert 0 < gpu.free <= GIB
    assert (gpu.power_limit, gpu.nvlinks, gpu.bf16) == (None, 0, True)


def test_memory_that_cannot_be_had_for_another_reason_is_not_the_hosts() -> None:
    broken = {**card("GPU-1"), "memory": {"error": "UNKNOWN"}, "memory_v1": {"error": "UNKNOWN"}}
    hardware = probe(cards(broken, *TWO))
    assert [gpu.uuid for gpu in hardware.gpus] == ["GPU-aaaa-1", "GPU-bbbb-2"]


def test_an_older_driver_has_only_the_first_version_of_the_question() -> None:
    old = card("GPU-1")
    old["memory_v1"] = old.pop("memory")
    old["memory"] = {"error": "FUNCTION_NOT_FOUND"}
    (gpu,) = probe(cards(old)).gpus
    assert (gpu.total, gpu.free, gpu.used, gpu.unified) == (80 * GIB, 70 * GIB, 10 * GIB, False)


def test_every_field_may_be_unknown() -> None:
    """A card that supports nothing but its memory and UUID."""
    bare = {"uuid": "GPU-1", "memory": {"total": GIB, "free": GIB, "used": 0}, "links": {"error": "UNKNOWN"}}
    hardware = probe(ReportedNvml({"cards": [bare]}))
    (gpu,) = hardware.gpus
    assert gpu == Gpu(0, "GPU-1", "NVIDIA GPU", GIB, GIB, 0)
    assert (gpu.bf16, gpu.fp8, hardware.driver, hardware.cuda) == (None, None, "", None)


def test_texts_may_be_bytes() -> None:
    raw = {**card("GPU-1"), "uuid": b"GPU-1", "name": b"NVIDIA \xff"}
    hardware = probe(ReportedNvml({"driver": b"580.95.05", "cards": [raw]}))
    assert (hardware.driver, hardware.gpus[0].uuid, hardware.gpus[0].name) == ("580.95.05", "GPU-1", "NVIDIA \ufffd")


def test_the_card_with_most_free_memory_is_best() -> None:
    best = probe(cards(*TWO)).best()
    assert best and (best.uuid, best.free) == ("GPU-bbbb-2", 70 * GIB)


@pytest.mark.parametrize(
    ("error", "fault", "reason", "remedy"),
    [
        ("LIBRARY_NOT_FOUND", "no_driver", "no NVIDIA driver is installed", "--gpus all"),
        ("DRIVER_NOT_LOADED", "not_loaded", "the NVIDIA driver is not loaded", "modprobe nvidia"),
        ("NO_PERMISSION", "no_permission", "no permission to use the NVIDIA driver", "/dev/nvidia*"),
        ("LIB_RM_VERSION_MISMATCH", "mismatch", "driver/library mismatch", "Reboot"),
        ("UNKNOWN", "driver", "Unknown Error", "nvidia-smi"),
    ],
)
def test_what_is_wrong_with_a_driver_is_told_apart(error: str, fault: str, reason: str, remedy: str) -> None:
    hardware = probe(ReportedNvml.failing(error))
    assert (hardware.gpus, hardware.fault, hardware.best()) == ((), fault, None)
    assert reason in str(hardware.reason) and remedy in str(hardware.remedy)


def test_an_error_later_is_a_reason_too() -> None:
    nvml = ReportedNvml({"driver": "580.95.05", "cards": {"error": "UNKNOWN"}})
    hardware = probe(nvml)
    assert (hardware.gpus, str(hardware.reason), hardware.driver) == ((), "Unknown Error", "580.95.05")
    assert nvml.open == 0


def test_a_lost_card_leaves_the_others_usable() -> None:
    hardware = probe(cards(LOST, *TWO))
    assert [gpu.index for gpu in hardware.gpus] == [1, 2]
    assert [str(note.text) for note in hardware.notes] == ["GPU 0 cannot be used: GPU is lost"]
    alone = probe(cards(LOST))
    assert (alone.fault, str(alone.reason)) == ("lost", "GPU 0 cannot be used: GPU is lost")
    assert "dmesg" in str(alone.remedy)


def test_a_driver_without_its_cuda_library_is_noticed() -> None:
    """A container that was started for nvidia-smi only: every field is there, and nothing computes."""
    hardware = probe(cards(*TWO, cuda={"error": "LIBRARY_NOT_FOUND"}))
    assert (len(hardware.gpus), hardware.cuda) == (2, None)
    (note,) = hardware.notes
    assert "libcuda.so.1" in str(note.text) and "NVIDIA_DRIVER_CAPABILITIES" in str(note.remedy)
    empty = probe(cards(cuda={"error": "LIBRARY_NOT_FOUND"}))
    assert (empty.fault, str(empty.reason)) == ("no_device", "NVML lists no device")


@pytest.mark.parametrize(
    ("visible", "kept"),
    [
        ("0", ["GPU-aaaa-1"]),
        ("1", ["GPU-bbbb-2"]),
        ("1,0", ["GPU-aaaa-1", "GPU-bbbb-2"]),
        ("GPU-bbbb-2", ["GPU-bbbb-2"]),
        ("GPU-b", ["GPU-bbbb-2"]),
        ("GPU-b,GPU-a", ["GPU-aaaa-1", "GPU-bbbb-2"]),
        (" 0 , ", ["GPU-aaaa-1"]),
        ("1gpu", ["GPU-bbbb-2"]),  # CUDA reads digits and forgets the rest
        ("0,7,1", ["GPU-aaaa-1"]),  # one that is not there ends the list
        ("0,-1,1", ["GPU-aaaa-1"]),
        ("0,GPU-bbbb-2", ["GPU-aaaa-1"]),
        ("", []),
        ("-1", []),
        ("7", []),
        ("NoDevFiles", []),  # Slurm's word for none
        ("all", []),
        ("GPU-none", []),
        ("GPU-", []),  # could be either
        ("0,0", []),
        ("GPU-a,GPU-aaaa", []),
        ("MIG-1", []),
    ],
)
def test_cuda_visible_devices_narrows(visible: str, kept: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler gave us these cards; the others belong to somebody else. The rules are CUDA's."""
    assert [gpu.uuid for gpu in probe(cards(*TWO), visible).gpus] == kept
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    hardware = probe(cards(*TWO))
    assert [gpu.uuid for gpu in hardware.gpus] == kept
    assert hardware.hidden == 2 - len(kept)
    assert bool(str(hardware.reason)) is not bool(kept)
    assert (hardware.fault == "hidden") is not bool(kept)


@pytest.mark.parametrize(
    ("visible", "kept"),
    [
        ("0", ["0:0", "0:2"]),  # a card stands for its slices
        ("1", ["1"]),
        ("MIG-2222", ["0:2"]),
        ("MIG-22222222-aaaa-5bbb-8ccc-dddddddddddd,MIG-1", ["0:0", "0:2"]),
        ("GPU-a1000000", ["0:0", "0:2"]),
        ("GPU-a100", []),  # could be either card
        ("MIG-3", []),
    ],
)
def test_slices_are_named_by_uuid(visible: str, kept: list[str]) -> None:
    assert [gpu.label for gpu in probe(ReportedNvml.of("mig_a100"), visible).gpus] == kept


@pytest.mark.parametrize(
    ("visible", "order", "told"),
    [
        ("0", "", True),
        ("0", "FASTEST_FIRST", True),
        ("0", "PCI_BUS_ID", False),
        ("GPU-3060", "", False),
        ("0,1", "", False),  # all of them, whatever the order
        ("", "", False),
    ],
)
def test_numbers_of_cards_that_differ_are_doubtful(visible: str, order: str, told: bool) -> None:
    """CUDA's 0 is the 4090, nvidia-smi's the 3060."""
    notes = probe(ReportedNvml.of("mixed"), visible, order=order).notes
    assert ["counts as nvidia-smi" in str(note.text) for note in notes] == [True] * told
    alike = probe(cards(*TWO), visible, order=order).notes
    assert not any("counts as nvidia-smi" in str(note.text) for note in alike)


@pytest.mark.parametrize(("visible", "told"), [("0,7", "7"), ("GPU-none", "GPU-none"), ("1,1", "twice")])
def test_what_cuda_ignores_is_told(visible: str, told: str) -> None:
    (note,) = probe(cards(*TWO), visible).notes
    assert told in str(note.text)


def test_a_report_as_json_has_what_is_computed() -> None:
    raw = probe(ReportedNvml.of("mig_a100"), "MIG-2222").as_dict()
    assert (raw["cuda"], raw["hidden"], raw["fault"]) == ((12, 2), 2, None)
    assert raw["gpus"][0]["label"] == "0:2" and raw["gpus"][0]["bf16"] is True
    assert probe(ReportedNvml.failing("LIBRARY_NOT_FOUND")).as_dict()["reason"] == "no NVIDIA driver is installed"


@pytest.mark.parametrize("name", ["one_l4", "eight_h100", "mig_a100", "mixed", "gb10"])
def test_a_recorded_report_tells_the_same(name: str, root: Path) -> None:
    """What somebody records on a machine that we do not have can be tested with."""
    given = probe(ReportedNvml.of(name), root=root)
    (root / "proc/4242/comm").unlink()
    report = json.loads(json.dumps(record(ReportedNvml.of(name))))
    again = probe(ReportedNvml(report), root=root)
    assert [gpu.label for gpu in again.gpus] == [gpu.label for gpu in given.gpus]
    for one, other in zip(again.gpus, given.gpus, strict=True):
        hidden = {"uuid": other.uuid, "card": other.card, "processes": other.processes}
        free = {"total": other.total, "free": other.free} if other.unified else {}  # the host's, which changes
        assert replace(one, **hidden, **free) == other
        assert one.uuid.endswith("0" * 12)
    assert record(ReportedNvml.failing("NO_PERMISSION")) == {"init": {"error": "NO_PERMISSION"}}


def test_the_real_library_answers_here() -> None:
    hardware = probe()
    assert hardware.gpus or str(hardware.reason)
    assert isinstance(failure("UNKNOWN"), Exception)


def test_our_own_part_of_a_probe_is_quick(root: Path) -> None:
    """100 ms are for NVML; eight cards with their links and processes must not add to them."""
    nvml = ReportedNvml.of("eight_h100")
    begun = time.perf_counter()
    probe(nvml, root=root)
    assert time.perf_counter() - begun < 0.1
