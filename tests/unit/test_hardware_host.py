"""Processor and memory as a container or batch job may use them, and what the installed torch can run on."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from engine.hardware import GIB, cpu_has_fast_bf16, host, probe
from engine.hardware.cgroups import cpu_quota, kills, kills_in, memory_room
from engine.hardware.torch_build import TorchBuild, obstacle, runnable, torch_build
from tests.unit.nvml_reports import ReportedNvml

GROUPS = "sys/fs/cgroup"
V1_NO_LIMIT = 0x7FFFFFFFFFFFF000


def write(root: Path, files: dict[str, object]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def test_memory_is_that_of_the_container(tmp_path: Path) -> None:
    """A container with 2 GiB on a machine with more must not promise the machine's memory."""
    write(tmp_path, {f"{GROUPS}/memory.max": 2 * GIB, f"{GROUPS}/memory.current": GIB})
    found = host(tmp_path)
    assert (found.memory, found.limit) == (2 * GIB, 2 * GIB)
    assert found.free <= GIB
    write(tmp_path, {f"{GROUPS}/memory.max": "max"})
    assert host(tmp_path).memory > 2 * GIB
    assert host(tmp_path).limit is None


def test_files_that_were_read_do_not_count_as_used(tmp_path: Path) -> None:
    """A model file just read fills the cache; the kernel drops it when memory is asked for."""
    write(tmp_path, {f"{GROUPS}/memory.max": 8 * GIB, f"{GROUPS}/memory.current": 7 * GIB})
    write(tmp_path, {f"{GROUPS}/memory.stat": f"anon {GIB}\nactive_file 7\ninactive_file {5 * GIB}\nslab 3"})
    assert memory_room(tmp_path) == (8 * GIB, 6 * GIB)


def test_the_smallest_limit_on_the_way_counts(tmp_path: Path) -> None:
    """A Slurm step without a limit in a job with one."""
    write(tmp_path, {"proc/self/cgroup": "0::/slurm/job_7/step_0"})
    job = f"{GROUPS}/slurm/job_7"
    write(tmp_path, {f"{job}/step_0/memory.max": "max", f"{job}/memory.max": 4 * GIB, f"{job}/memory.current": 3 * GIB})
    write(tmp_path, {f"{job}/step_0/cpu.max": "max 100000", f"{job}/cpu.max": "250000 100000"})
    write(tmp_path, {f"{GROUPS}/slurm/memory.max": 6 * GIB, f"{GROUPS}/slurm/memory.current": 6 * GIB - 5})
    assert memory_room(tmp_path) == (4 * GIB, 5)
    assert cpu_quota(tmp_path) == 2.5


def test_version_1_of_control_groups(tmp_path: Path) -> None:
    write(tmp_path, {"proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/"})
    memory, cpu = f"{GROUPS}/memory/docker/abc", f"{GROUPS}/cpu,cpuacct/docker/abc"
    write(tmp_path, {f"{memory}/memory.limit_in_bytes": 4 * GIB, f"{memory}/memory.usage_in_bytes": 3 * GIB})
    write(tmp_path, {f"{memory}/memory.stat": f"inactive_file 5\ntotal_inactive_file {GIB}"})
    write(tmp_path, {f"{GROUPS}/memory/memory.limit_in_bytes": V1_NO_LIMIT})
    write(tmp_path, {f"{cpu}/cpu.cfs_quota_us": 50_000, f"{cpu}/cpu.cfs_period_us": 100_000})
    assert memory_room(tmp_path) == (4 * GIB, 2 * GIB)
    assert cpu_quota(tmp_path) == 0.5
    write(tmp_path, {f"{cpu}/cpu.cfs_quota_us": -1, f"{memory}/memory.limit_in_bytes": V1_NO_LIMIT})
    assert (memory_room(tmp_path), cpu_quota(tmp_path)) == ((None, None), None)


def test_a_container_that_is_told_a_path_of_the_machine(tmp_path: Path) -> None:
    """/proc/self/cgroup names what is not mounted in here; our own group is the top."""
    write(tmp_path, {"proc/self/cgroup": "4:memory:/docker/abc\n0::/../../machine.slice"})
    write(tmp_path, {f"{GROUPS}/memory/memory.limit_in_bytes": 4 * GIB, f"{GROUPS}/cpu.max": "400000 100000"})
    write(tmp_path, {f"{GROUPS}/memory/memory.usage_in_bytes": GIB})
    assert memory_room(tmp_path) == (4 * GIB, 3 * GIB)
    assert cpu_quota(tmp_path) == 4


def test_what_the_kernel_killed_is_counted_for_our_group_or_for_the_machine(tmp_path: Path) -> None:
    """A count of the machine also rises for others: it stands in only where the group has none."""
    write(tmp_path, {"proc/vmstat": "pgfault 9\noom_kill 7", "proc/self/cgroup": "0::/job"})
    assert kills(tmp_path) == {"file": str(tmp_path / "proc/vmstat"), "count": 7}
    write(tmp_path, {f"{GROUPS}/job/memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0"})
    found = kills(tmp_path)
    assert found == {"file": str(tmp_path / GROUPS / "job/memory.events"), "count": 2}
    assert kills_in(tmp_path / "none") is None
    assert kills(tmp_path / "nowhere") == {}


@pytest.mark.parametrize("text", ["", "garbage", "::", "0:"])
def test_a_cgroup_file_with_nonsense_is_no_limit(text: str, tmp_path: Path) -> None:
    write(tmp_path, {"proc/self/cgroup": text, f"{GROUPS}/memory.max": "x", f"{GROUPS}/cpu.max": "1"})
    assert (memory_room(tmp_path), cpu_quota(tmp_path)) == ((None, None), None)


def test_a_quota_is_whole_cores_that_can_be_kept_busy(tmp_path: Path) -> None:
    write(tmp_path, {f"{GROUPS}/cpu.max": "30000 100000"})
    found = host(tmp_path)
    assert (found.cores, found.quota, found.installed) == (1, 0.3, os.cpu_count())
    write(tmp_path, {f"{GROUPS}/cpu.max": "99900000 100000"})
    assert host(tmp_path).cores == len(os.sched_getaffinity(0))


X86 = "processor : 0\nmodel name : Fast CPU @ 3 GHz\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile"
ARM = "processor\t: 0\nFeatures\t: fp asimd sve sve2 svebf16 bf16\nCPU implementer\t: 0x41"
OLD = "model name : Old CPU\nflags : fpu sse2 avx2"


@pytest.mark.parametrize(
    ("text", "features", "fast"),
    [
        (X86, ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16"), True),
        (ARM, ("asimd", "bf16", "sve", "sve2", "svebf16"), True),
        (OLD, ("avx2",), False),
        ("", (), False),
    ],
)
def test_instruction_sets(text: str, features: tuple[str, ...], fast: bool, tmp_path: Path) -> None:
    write(tmp_path, {"proc/cpuinfo": text})
    assert (host(tmp_path).features, cpu_has_fast_bf16(tmp_path)) == (features, fast)
    named = {X86: "Fast CPU @ 3 GHz", OLD: "Old CPU"}  # ARM's has no name
    assert host(tmp_path).cpu == named.get(text, platform.processor() or platform.machine())


def version_py(folder: Path, **members: str | None) -> Path:
    """torch/version.py as the builds of PyTorch write it."""
    lines = [f"{name}: Optional[str] = {text!r}" for name, text in members.items() if name != "version"]
    text = "\n".join(["from typing import Optional", f"__version__ = {members['version']!r}", "debug = False", *lines])
    (folder / "version.py").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("members", "build"),
    [
        ({"version": "2.10.0", "cuda": "12.8", "hip": None}, TorchBuild("2.10.0", "cuda", (12, 8))),
        ({"version": "2.11.0+cu130", "cuda": "13.0"}, TorchBuild("2.11.0+cu130", "cuda", (13, 0))),
        ({"version": "2.10.0+cpu", "cuda": None, "hip": None, "xpu": None}, TorchBuild("2.10.0+cpu", "cpu")),
        ({"version": "2.10.0+rocm7.0", "cuda": None, "hip": "7.0.51831"}, TorchBuild("2.10.0+rocm7.0", "rocm")),
        ({"version": "2.10.0+xpu", "cuda": None, "hip": None, "xpu": "20250301"}, TorchBuild("2.10.0+xpu", "xpu")),
    ],
)
def test_what_torch_was_built_for(members: dict[str, str | None], build: TorchBuild, tmp_path: Path) -> None:
    assert torch_build(version_py(tmp_path, **members)) == build


def test_the_installed_torch_is_read_and_not_imported(tmp_path: Path) -> None:
    import subprocess
    from importlib.metadata import version

    code = (
        "import sys; from engine.hardware.torch_build import torch_build; "
        "print(torch_build().version, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [version("torch"), "False"]
    assert torch_build(tmp_path) is None


def machine(driver: str, cuda: int | None, *capability: int) -> ReportedNvml:
    sizes = {"total": GIB, "free": GIB, "used": 0}
    card = {"uuid": "GPU-1", "name": "A card", "memory": sizes}
    report = {"driver": driver, "cards": [card | ({"capability": list(capability)} if capability else {})]}
    return ReportedNvml(report | ({"cuda": cuda} if cuda else {}))


@pytest.mark.parametrize(
    ("driver", "cuda", "built", "told"),
    [
        ("525.60.13", 12000, (12, 8), None),  # minor versions of one major run on the same driver
        ("580.65.06", 13000, (12, 6), None),  # newer drivers run older CUDA
        ("570.86.15", 12080, (13, 0), "580 or newer, or install a torch for CUDA 12:"),
        ("470.82.01", 11040, (12, 6), "Update the driver to 525.60.13 or newer."),
        ("535.129.03", 13000, (13, 0), None),  # a forward-compatibility package
        ("525.60.11", None, (12, 6), "525.60.13"),
        ("525.60.13", None, (12, 6), None),
        ("600.1", 13010, (14, 0), "older CUDA"),  # a CUDA that is not in the table
        ("600.1", None, (14, 0), None),
        ("", None, (13, 0), None),
    ],
)
def test_a_driver_too_old_for_torch(driver: str, cuda: int | None, built: tuple[int, int], told: str | None) -> None:
    """Torch would say that no GPU is available and train on the processor for days."""
    found = obstacle(TorchBuild("2.13.0", "cuda", built), probe(machine(driver, cuda)))
    if told is None:
        assert found is None
    else:
        assert found and driver in str(found.text) and told in str(found.remedy)


@pytest.mark.parametrize(
    ("capability", "built", "told"),
    [
        ((7, 0), (12, 6), None),
        ((7, 0), (13, 0), "too old"),  # Volta
        ((7, 5), (13, 0), None),  # Turing
        ((12, 0), (12, 6), "too new"),  # Blackwell
        ((12, 0), (12, 8), None),
        ((), (13, 0), None),
    ],
)
def test_a_card_that_torch_has_no_code_for(
    capability: tuple[int, ...], built: tuple[int, int], told: str | None
) -> None:
    found = obstacle(TorchBuild("2.13.0", "cuda", built), probe(machine("580.65.06", 13000, *capability)))
    assert (found is None) if told is None else (found and told in str(found.text))


@pytest.mark.parametrize(("kind", "word"), [("cpu", "processors only"), ("rocm", "AMD"), ("xpu", "Intel")])
def test_a_torch_that_was_not_built_for_the_card(kind: str, word: str) -> None:
    build = TorchBuild("2.13.0", kind)  # type: ignore[arg-type]
    found = obstacle(build, probe(ReportedNvml.of("one_l4")))
    assert found and word in str(found.text) and "pytorch.org" in str(found.remedy)
    assert obstacle(build, probe(ReportedNvml.failing("LIBRARY_NOT_FOUND"))) is None


CUDA_13 = TorchBuild("2.13.0", "cuda", (13, 0))


def test_a_gpu_that_torch_cannot_use_is_none() -> None:
    """Else a run is planned on it, --require-gpu is content, and torch takes the processor."""
    there = probe(ReportedNvml.of("one_l4"))
    assert runnable(there, TorchBuild("2.13.0", "cuda", (12, 8))) == there
    assert runnable(there, None) == there
    for build in (CUDA_13, TorchBuild("2.13.0+cpu", "cpu")):  # the driver is a 570
        found = runnable(there, build)
        assert (found.gpus, found.fault, found.driver) == ((), "torch", "570.86.15")
        assert build.version in str(found.reason) and str(found.remedy)
    nothing = probe(ReportedNvml.failing("NO_PERMISSION"))
    assert runnable(nothing, CUDA_13) == nothing


def test_a_card_too_old_leaves_the_others() -> None:
    nvml = ReportedNvml.of("mixed")
    nvml.report |= {"driver": "580.95.05", "cuda": 13000}
    nvml.report["cards"][0]["capability"] = [6, 1]
    there = probe(nvml)
    assert obstacle(CUDA_13, there) is None
    found = runnable(there, CUDA_13)
    assert [gpu.index for gpu in found.gpus] == [1]
    assert ["too old" in str(note.text) for note in found.notes] == [True]
    nvml.report["cards"][1]["capability"] = [7, 0]
    assert runnable(probe(nvml), CUDA_13).fault == "torch"


def test_without_libcuda_nothing_computes() -> None:
    nvml = ReportedNvml.of("one_l4")
    nvml.report["cuda"] = {"error": "LIBRARY_NOT_FOUND"}
    found = runnable(probe(nvml), TorchBuild("2.13.0", "cuda", (12, 6)))
    assert (found.gpus, found.fault, found.notes) == ((), "driver", ())
    assert "libcuda" in str(found.reason)
