"""GPUs through NVML, without torch: which there are, and how much of their memory is free."""

from __future__ import annotations

import contextlib
import importlib
import os
from dataclasses import dataclass
from typing import Any

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
class Hardware:
    """Usable GPUs, and where there are none, why."""

    gpus: tuple[Gpu, ...]
    reason: str = ""

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
    found, failed = [], ""
    try:
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
        return Hardware(tuple(found), "" if found else failed or "NVML lists no device")
    wanted = [part.strip() for part in visible.split(",") if part.strip()]
    kept = tuple(gpu for gpu in found if any(gpu.uuid.startswith(part) or str(gpu.index) == part for part in wanted))
    return Hardware(kept, "" if kept else f"CUDA_VISIBLE_DEVICES={visible!r} leaves none")


def visible_device(*, use_cpu: bool = False, hardware: Hardware | None = None) -> dict[str, str]:
    """Environment that shows a worker one device: the GPU with most free memory, by UUID; none where asked for."""
    if use_cpu:
        return {"CUDA_VISIBLE_DEVICES": ""}
    best = (hardware or probe()).best()
    return {"CUDA_VISIBLE_DEVICES": best.uuid} if best else {}


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    text = [nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)]
    uuid, name = (part.decode() if isinstance(part, bytes) else part for part in text)
    return Gpu(index, uuid, name, memory.total, memory.free)


def _reason(nvml: Any, error: Any) -> str:
    kind = type(error).__name__
    if "LibraryNotFound" in kind:
        return "no NVIDIA driver is installed"
    if "DriverNotLoaded" in kind:
        return "the NVIDIA driver is not loaded"
    if "NoPermission" in kind:
        return "no permission to use the NVIDIA driver"
    return str(error)
