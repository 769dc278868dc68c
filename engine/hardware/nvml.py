"""Reading NVML: every card and MIG slice, whatever of its fields can be had. Costs no torch and no CUDA context."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.hardware.report import Fault, Finding, Gpu, GpuProcess
from engine.runs.surroundings import FIRST_NAMESPACE
from engine.text import Phrase, verbatim

# What a card that was read is told of: it has no memory of its own, so ask for the host's (total, free).
Shared = Callable[[], tuple[int, int]]


class Reader:
    """An NVML that is initialised. `root` is where /proc is."""

    def __init__(self, nvml: Any, shared: Shared, root: Path):
        self.nvml = nvml
        self.shared = shared
        self.root = root
        self.notes: list[Finding] = []

    def driver(self) -> str:
        """Version of the driver, e.g. 580.95.05."""
        return _text(self.ask(self.nvml.nvmlSystemGetDriverVersion) or "")

    def cuda(self) -> tuple[int, int] | None:
        """Newest CUDA that libcuda runs, a forward-compatibility package included: (13, 0) of 13000."""
        try:
            version = self.nvml.nvmlSystemGetCudaDriverVersion_v2()
        except self.nvml.NVMLError as error:
            if error.value == self.nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
                self.notes.append(
                    Finding(
                        Phrase("the driver's CUDA library (libcuda.so.1) is not here, so nothing can compute on a GPU"),
                        Phrase("In a container: start it with NVIDIA_DRIVER_CAPABILITIES=compute,utility"),
                        severe=True,
                    )
                )
            return None
        return version // 1000, version % 1000 // 10

    def gpus(self) -> list[Gpu]:
        """Every card that answers, in NVML's order (by bus); a card in MIG mode as its slices. Raises NVMLError."""
        found: list[Gpu] = []
        for index in range(self.nvml.nvmlDeviceGetCount()):
            try:
                found += self._card(index)
            except self.nvml.NVMLError as error:  # one that fell off the bus leaves the others usable
                text = Phrase("GPU {index} cannot be used: {reason}", {"index": index, "reason": str(error)})
                self.notes.append(Finding(text, explain(self.nvml, error)[2]))
        return found

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The answer, or None where NVML does not give one."""
        try:
            return function(*arguments)
        except self.nvml.NVMLError:
            return None

    def _card(self, index: int) -> Iterator[Gpu]:
        handle = self.nvml.nvmlDeviceGetHandleByIndex(index)
        mode = self.ask(self.nvml.nvmlDeviceGetMigMode, handle)
        if not mode or mode[0] != self.nvml.NVML_DEVICE_MIG_ENABLE:
            yield self._gpu(handle, handle, index)
            return
        count = 0
        for number in range(self.ask(self.nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
            part = self.ask(self.nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
            if part is not None:  # numbers without a slice are gaps, not ends
                count += 1
                yield self._gpu(part, handle, index, number)
        if not count:
            self.notes.append(
                Finding(
                    Phrase("GPU {index} is in MIG mode and has no slice that we may use", {"index": index}),
                    Phrase("Make one (nvidia-smi mig -cgi …), or turn the mode off: nvidia-smi -mig 0"),
                )
            )

    def _gpu(self, handle: Any, card: Any, index: int, number: int | None = None) -> Gpu:
        """What CUDA takes as one device. Temperature, power and links are the card's."""
        nvml, ask = self.nvml, self.ask
        memory = self.memory(handle)
        total, free = memory[:2] if memory else self.shared()
        name = ask(nvml.nvmlDeviceGetName, handle) or ask(nvml.nvmlDeviceGetName, card) or "NVIDIA GPU"
        capability = ask(nvml.nvmlDeviceGetCudaComputeCapability, card)
        milliwatts = ask(nvml.nvmlDeviceGetEnforcedPowerLimit, card)
        rates = ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        return Gpu(
            index=index,
            uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
            name=_text(name),
            total=total,
            free=free,
            used=memory[2] if memory else None,
            processes=self._processes(handle),
            capability=tuple(capability) if capability else None,
            temperature=ask(nvml.nvmlDeviceGetTemperature, card, nvml.NVML_TEMPERATURE_GPU),
            power_limit=None if milliwatts is None else round(milliwatts / 1000),
            utilisation=None if rates is None else rates.gpu,
            nvlinks=self._links(card),
            slice=number,
            card="" if number is None else _text(nvml.nvmlDeviceGetUUID(card)),
            unified=memory is None,
        )

    def memory(self, handle: Any) -> tuple[int, int, int] | None:
        """(total, free, used); None of a part that shares the host's (GB10: NVML does not support the question)."""
        nvml = self.nvml
        # Version 2 (drivers from R510) tells what the driver keeps for itself from what processes use.
        found = self.ask(nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2)
        if found is None:
            try:
                found = nvml.nvmlDeviceGetMemoryInfo(handle)
            except nvml.NVMLError as error:
                if error.value != nvml.NVML_ERROR_NOT_SUPPORTED:
                    raise
        return (found.total, found.free, found.used) if found is not None and found.total else None

    def _processes(self, handle: Any) -> tuple[GpuProcess, ...]:
        found: dict[int, int | None] = {}
        asks = (self.nvml.nvmlDeviceGetComputeRunningProcesses, self.nvml.nvmlDeviceGetGraphicsRunningProcesses)
        for listed in asks:
            for one in self.ask(listed, handle) or ():  # a process that computes and draws is in both
                found[one.pid] = found.get(one.pid) or one.usedGpuMemory
        return tuple(GpuProcess(pid, *_who(pid, self.root), memory) for pid, memory in sorted(found.items()))

    def _links(self, card: Any) -> int | None:
        """Active NVLinks; None where NVML does not say."""
        active = 0
        for link in range(self.nvml.NVML_NVLINK_MAX_LINKS):
            try:
                active += self.nvml.nvmlDeviceGetNvLinkState(card, link)
            except self.nvml.NVMLError as error:
                known = (self.nvml.NVML_ERROR_NOT_SUPPORTED, self.nvml.NVML_ERROR_INVALID_ARGUMENT)
                return active if link or error.value in known else None
        return active


def explain(nvml: Any, error: Any) -> tuple[Fault, Phrase, Phrase]:
    """What kind of failure it is, in words, and what to do."""
    known: dict[int, tuple[Fault, Phrase, Phrase]] = {
        nvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
            "no_driver",
            Phrase("no NVIDIA driver is installed"),
            Phrase(
                "With an NVIDIA card: install its driver, then see that nvidia-smi works. In a container: start it "
                "with --gpus all and NVIDIA's container toolkit on the machine."
            ),
        ),
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: (
            "not_loaded",
            Phrase("the NVIDIA driver is not loaded"),
            Phrase("Load it: sudo modprobe nvidia. If that fails, reinstall the driver for this kernel, or reboot."),
        ),
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
            "mismatch",
            Phrase("the NVIDIA driver was updated, but the kernel still runs the old one (driver/library mismatch)"),
            Phrase("Reboot, or end what uses the GPU and reload the module: sudo modprobe -r nvidia_uvm nvidia"),
        ),
        nvml.NVML_ERROR_NO_PERMISSION: (
            "no_permission",
            Phrase("no permission to use the NVIDIA driver"),
            Phrase(
                "Look at ls -l /dev/nvidia*: your user or its groups (video, render) must read and write them. Under "
                "Slurm ask for a GPU (--gres=gpu:1); in a container pass them in (--gpus all)."
            ),
        ),
        nvml.NVML_ERROR_GPU_IS_LOST: (
            "lost",
            verbatim(error),
            Phrase("It fell off the bus: see dmesg for Xid messages; a reboot brings it back where the card is sound."),
        ),
    }
    other: tuple[Fault, Phrase, Phrase] = ("driver", verbatim(error), Phrase("See what nvidia-smi says of it."))
    return known.get(error.value, other)


def _who(pid: int, root: Path) -> tuple[str, str]:
    """Name and user of a process. Never its command line, which may hold secrets of another person.

    NVML's pids are the machine's. In a container the same number is another process, or none.
    """
    try:
        if str((root / "proc/self/ns/pid").readlink()) != FIRST_NAMESPACE:
            return "", ""
        folder = root / "proc" / str(pid)
        name, uid = (folder / "comm").read_text(errors="replace").strip(), folder.stat().st_uid
    except OSError:
        return "", ""
    try:
        return name, pwd.getpwuid(uid).pw_name
    except KeyError:
        return name, str(uid)


def _text(raw: str | bytes) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw
