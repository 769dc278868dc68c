"""What a run's worker takes right now: of its GPU through NVML, of the processor through its own figures."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.hardware.nvml import Reader
from engine.hardware.processor import host

VISIBLE = b"CUDA_VISIBLE_DEVICES="


@dataclass(frozen=True)
class Load:
    """gpu: whether the figures are those of the whole card, or else of the worker's process. used, total: bytes.

    busy: percent of the card, or of one core, so that four busy cores are 400. temperature: °C of the card.
    """

    gpu: bool
    used: int
    total: int
    busy: int | None = None
    temperature: int | None = None


class Meter:
    """Asked now and then about one worker. NVML is started at the first question, and never where the run is on a CPU.

    nvml: the module to ask (default: this machine's); root: where /proc is; process: psutil's.
    """

    def __init__(
        self,
        nvml: Callable[[], Any] = lambda: importlib.import_module("pynvml"),
        process: Callable[[int], Any] = lambda pid: importlib.import_module("psutil").Process(pid),
        root: Path = Path("/"),
    ):
        self._import, self._find, self._root = nvml, process, root
        self._reader: Reader | None = None
        self._process: Any = None
        self._broken = False

    def read(self, pid: int, device: str) -> Load | None:
        """Of the worker with this pid on this machine; device: what its `model` event says, such as cuda:0."""
        if device.startswith("cuda") and not self._broken:
            found = self._gpu(pid)
            if found is not None:
                return found
        return self._of_process(pid)

    def _gpu(self, pid: int) -> Load | None:
        reader = self._started()
        if reader is None:
            return None
        nvml, ask = reader.nvml, reader.ask
        uuid = self._visible(pid)
        handle = ask(nvml.nvmlDeviceGetHandleByUUID, uuid) if uuid else ask(nvml.nvmlDeviceGetHandleByIndex, 0)
        if handle is None or (not uuid and ask(nvml.nvmlDeviceGetCount) != 1):
            return None
        memory = None
        with contextlib.suppress(nvml.NVMLError):
            memory = reader.memory(handle)
        total, free, used = memory or (*reader.shared(), 0)
        rates = ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        return Load(
            gpu=True,
            used=used or total - free,
            total=total,
            busy=None if rates is None else rates.gpu,
            temperature=ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
        )

    def _started(self) -> Reader | None:
        if self._reader is None:
            nvml = self._import()
            try:
                nvml.nvmlInit()
            except nvml.NVMLError:
                self._broken = True
                return None
            here = host(self._root)
            self._reader = Reader(nvml, lambda: (here.memory, here.free), self._root)
        return self._reader

    def _visible(self, pid: int) -> str:
        """The one device that the worker sees; nothing else of its environment is kept."""
        with contextlib.suppress(OSError):
            raw = (self._root / "proc" / str(pid) / "environ").read_bytes()
            found = next((part for part in raw.split(b"\0") if part.startswith(VISIBLE)), b"")
            return found.removeprefix(VISIBLE).decode(errors="replace")
        return ""

    def _of_process(self, pid: int) -> Load | None:
        import psutil

        try:
            if self._process is None or self._process.pid != pid:
                self._process = self._find(pid)
            with self._process.oneshot():
                used, busy = self._process.memory_info().rss, self._process.cpu_percent()
        except psutil.Error:
            self._process = None
            return None
        return Load(gpu=False, used=used, total=host(self._root).memory, busy=round(busy))
