"""What there is to compute with, without torch: GPUs and their free memory through NVML, processor and memory."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from engine.text import NOTHING, Phrase, verbatim

GIB = 1 << 30


@dataclass(frozen=True)
class Gpu:
    """One device as NVML lists it; memory in bytes. CUDA may number them otherwise: `uuid` is what tells them apart."""

    index: int
    uuid: str
    name: str
    total: int
    free: int


@dataclass(frozen=True)
class Host:
    """The processor, the cores that we may use, and memory in bytes, within the limit of our container."""

    cpu: str
    cores: int
    memory: int
    free: int


@dataclass(frozen=True)
class Hardware:
    """Usable GPUs, and where there are none, why."""

    gpus: tuple[Gpu, ...]
    reason: Phrase = NOTHING
    driver: str = ""

    def best(self) -> Gpu | None:
        """The GPU with most free memory."""
        return max(self.gpus, key=lambda gpu: gpu.free, default=None)


def probe(nvml: Any = None, visible: str | None = None) -> Hardware:
    """What can be used here. `visible` (default: CUDA_VISIBLE_DEVICES) narrows it by index or UUID."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    if nvml is None:
        nvml = importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return Hardware((), _reason(nvml, error))
    found, failed, driver = [], "", ""
    try:
        with contextlib.suppress(nvml.NVMLError):
            driver = _text(nvml.nvmlSystemGetDriverVersion())
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                found.append(_gpu(nvml, index))
            except nvml.NVMLError as error:  # one that fell off the bus leaves the others usable
                failed = str(error)
    except nvml.NVMLError as error:
        failed = str(error)
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()
    if visible is None or not found:
        reason = verbatim(failed) if failed else Phrase("NVML lists no device")
        return Hardware(tuple(found), NOTHING if found else reason, driver)
    wanted = [part.strip() for part in visible.split(",") if part.strip()]
    kept = tuple(gpu for gpu in found if any(gpu.uuid.startswith(part) or str(gpu.index) == part for part in wanted))
    reason = Phrase("CUDA_VISIBLE_DEVICES={visible} leaves none", {"visible": visible})
    return Hardware(kept, NOTHING if kept else reason, driver)


def host(root: Path = Path("/")) -> Host:
    """This machine as far as the current process may use it. `root` is where /proc and /sys are."""
    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    with contextlib.suppress(OSError, ValueError):  # "max" where the container sets no limit
        limit = int((root / "sys/fs/cgroup/memory.max").read_text())
        used = int((root / "sys/fs/cgroup/memory.current").read_text())
        total, free = min(total, limit), min(free, max(0, limit - used))
    return Host(_cpu(root), len(os.sched_getaffinity(0)), total, free)


def cpu_has_fast_bf16(root: Path = Path("/")) -> bool:
    """Whether this processor multiplies bfloat16 faster than float32 (avx512_bf16 or amx_bf16, sve bf16)."""
    try:
        flags = (root / "proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "svebf16"))


def _cpu(root: Path) -> str:
    with contextlib.suppress(OSError):
        for line in (root / "proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def visible_device(*, use_cpu: bool = False, hardware: Hardware | None = None) -> dict[str, str]:
    """Environment that shows a worker one device: the GPU with most free memory, by UUID; none where asked for."""
    if use_cpu:
        return {"CUDA_VISIBLE_DEVICES": ""}
    best = (hardware or probe()).best()
    return {"CUDA_VISIBLE_DEVICES": best.uuid} if best else {}


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    uuid, name = _text(nvml.nvmlDeviceGetUUID(handle)), _text(nvml.nvmlDeviceGetName(handle))
    return Gpu(index, uuid, name, memory.total, memory.free)


def _text(raw: str | bytes) -> str:
    return raw.decode() if isinstance(raw, bytes) else raw


def _reason(nvml: Any, error: Any) -> Phrase:
    kind = type(error).__name__
    if "LibraryNotFound" in kind:
        return Phrase("no NVIDIA driver is installed")
    if "DriverNotLoaded" in kind:
        return Phrase("the NVIDIA driver is not loaded")
    if "NoPermission" in kind:
        return Phrase("no permission to use the NVIDIA driver")
    return verbatim(error)
