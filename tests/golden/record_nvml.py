"""Writes what NVML says on this machine as a report of tests/unit/data/nvml:
    PYTHONPATH=. python tests/golden/record_nvml.py NAME

The ends of UUIDs and the names of processes are not written: reports are public. Every question that the tool asks
is asked; an error is written by its name.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml

FOLDER = Path(__file__).parents[1] / "unit" / "data" / "nvml"
ERRORS = {code: name.removeprefix("NVML_ERROR_") for name, code in vars(pynvml).items() if name[:11] == "NVML_ERROR_"}
PLAIN = {
    "uuid": "nvmlDeviceGetUUID",
    "name": "nvmlDeviceGetName",
    "capability": "nvmlDeviceGetCudaComputeCapability",
    "power_limit": "nvmlDeviceGetEnforcedPowerLimit",
    "mig": "nvmlDeviceGetMigMode",
    "max_slices": "nvmlDeviceGetMaxMigDeviceCount",
}


def record(nvml: Any) -> dict[str, Any]:
    """A report of the machine that `nvml` (the module pynvml) speaks for."""
    init = answer(nvml, nvml.nvmlInit)
    if init is not None:
        return {"init": init}
    cards = answer(nvml, nvml.nvmlDeviceGetCount)
    return {
        "driver": answer(nvml, nvml.nvmlSystemGetDriverVersion),
        "cuda": answer(nvml, nvml.nvmlSystemGetCudaDriverVersion_v2),
        "cards": cards if isinstance(cards, dict) else [card(nvml, index) for index in range(cards)],
    }


def card(nvml: Any, index: int) -> Any:
    """A card with its slices, or the error of one that is lost."""
    handle = answer(nvml, lambda: nvml.nvmlDeviceGetHandleByIndex(index))
    if is_error(handle):
        return handle
    found = device(nvml, handle)
    count = found["max_slices"]
    slices = {}
    for number in range(0 if isinstance(count, dict) else count):
        part = answer(nvml, lambda number=number: nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number))
        if not is_error(part):
            slices[str(number)] = device(nvml, part)
    return {**found, "slices": slices}


def device(nvml: Any, handle: Any) -> dict[str, Any]:
    """Every field, or the error in its place."""
    found = {name: answer(nvml, lambda ask=getattr(nvml, ask): ask(handle)) for name, ask in PLAIN.items()}
    if isinstance(found["uuid"], str):
        found["uuid"] = re.sub(r"[0-9a-f]{12}$", "0" * 12, found["uuid"])
    celsius = nvml.NVML_TEMPERATURE_GPU
    return {
        **found,
        "memory": answer(nvml, lambda: sizes(nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2))),
        "memory_v1": answer(nvml, lambda: sizes(nvml.nvmlDeviceGetMemoryInfo(handle))),
        "temperature": answer(nvml, lambda: nvml.nvmlDeviceGetTemperature(handle, celsius)),
        "utilisation": answer(nvml, lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        "links": links(nvml, handle),
        "compute": answer(nvml, lambda: processes(nvml.nvmlDeviceGetComputeRunningProcesses(handle))),
        "graphics": answer(nvml, lambda: processes(nvml.nvmlDeviceGetGraphicsRunningProcesses(handle))),
    }


def links(nvml: Any, handle: Any) -> Any:
    """The states up to the first error; that error where there is none."""
    found: list[int] = []
    for link in range(nvml.NVML_NVLINK_MAX_LINKS):
        state = answer(nvml, lambda link=link: nvml.nvmlDeviceGetNvLinkState(handle, link))
        if is_error(state):
            return found or state
        found.append(state)
    return found


def answer(nvml: Any, ask: Callable[[], Any]) -> Any:
    """What NVML answers, as JSON; an error by its name."""
    try:
        found = ask()
    except nvml.NVMLError as error:
        return {"error": ERRORS[error.value]}
    return list(found) if isinstance(found, tuple) else found


def is_error(found: Any) -> bool:
    """Whether it stands for an error."""
    return isinstance(found, dict) and "error" in found


def sizes(memory: Any) -> dict[str, int]:
    """Bytes."""
    return {"total": memory.total, "used": memory.used, "free": memory.free}


def processes(found: list[Any]) -> list[dict[str, Any]]:
    """Pids and bytes; no names."""
    return [{"pid": one.pid, "used": one.usedGpuMemory} for one in found]


if __name__ == "__main__":
    (FOLDER / f"{sys.argv[1]}.json").write_text(json.dumps(record(pynvml), indent=1) + "\n")
