"""An NVML that answers from a report, with the real library's errors and constants.

The reports in data/nvml were put together from what nvidia-smi and NVML are known to say of such machines
(tests/golden/record_nvml.py writes one of a machine at hand). A member that is missing, or is {"error": NAME}, is
NVML's error of that name (missing: NOT_SUPPORTED). `memory` is version 2 of the question, `memory_v1` the first.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml

FOLDER = Path(__file__).parent / "data" / "nvml"


def failure(name: str) -> pynvml.NVMLError:
    """NVML's error, of the class that the library gives it."""
    return pynvml.NVMLError(getattr(pynvml, f"NVML_ERROR_{name}"))


class ReportedNvml:
    """Stands for the module pynvml. `open`: how often it was initialised and not shut down."""

    NVMLError = pynvml.NVMLError

    def __init__(self, report: dict[str, Any]):
        self.report = report
        self.open = 0

    @classmethod
    def of(cls, name: str) -> ReportedNvml:
        """A report of data/nvml."""
        return cls(json.loads((FOLDER / f"{name}.json").read_text()))

    @classmethod
    def failing(cls, error: str) -> ReportedNvml:
        """A driver that cannot be initialised."""
        return cls({"init": {"error": error}})

    def __getattr__(self, name: str) -> Any:
        """The real library's constants."""
        if not name.startswith(("NVML_", "nvmlMemory_")):
            raise AttributeError(name)
        return getattr(pynvml, name)

    def nvmlInit(self) -> None:
        _answer(self.report, "init", None)
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> Any:
        return _answer(self.report, "driver")

    def nvmlSystemGetCudaDriverVersion_v2(self) -> Any:
        return _answer(self.report, "cuda")

    def nvmlDeviceGetCount(self) -> int:
        return len(_answer(self.report, "cards"))

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        card = self.report["cards"][index]
        return _answer({"card": card}, "card")

    def nvmlDeviceGetMemoryInfo(self, handle: Any, version: int | None = None) -> SimpleNamespace:
        return SimpleNamespace(**_answer(handle, "memory" if version else "memory_v1"))

    def nvmlDeviceGetUUID(self, handle: Any) -> Any:
        return _answer(handle, "uuid")

    def nvmlDeviceGetName(self, handle: Any) -> Any:
        return _answer(handle, "name")

    def nvmlDeviceGetCudaComputeCapability(self, handle: Any) -> Any:
        return _answer(handle, "capability")

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int) -> Any:
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return _answer(handle, "temperature")

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Any) -> Any:
        return _answer(handle, "power_limit")

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> SimpleNamespace:
        return SimpleNamespace(gpu=_answer(handle, "utilisation"), memory=0)

    def nvmlDeviceGetNvLinkState(self, handle: Any, link: int) -> Any:
        links = _answer(handle, "links")
        if link >= len(links):
            raise failure("INVALID_ARGUMENT")
        return links[link]

    def nvmlDeviceGetMigMode(self, handle: Any) -> Any:
        return _answer(handle, "mig")

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any) -> Any:
        return _answer(handle, "max_slices")

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: int) -> Any:
        return _answer(handle["slices"], str(index), {"error": "NOT_FOUND"})

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> list[SimpleNamespace]:
        return _processes(handle, "compute")

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: Any) -> list[SimpleNamespace]:
        return _processes(handle, "graphics")


def _answer(members: dict[str, Any], name: str, default: Any = {"error": "NOT_SUPPORTED"}) -> Any:  # noqa: B006
    found = members.get(name, default)
    if isinstance(found, dict) and "error" in found:
        raise failure(found["error"])
    return found


def _processes(handle: Any, kind: str) -> list[SimpleNamespace]:
    return [SimpleNamespace(pid=one["pid"], usedGpuMemory=one["used"]) for one in _answer(handle, kind)]
