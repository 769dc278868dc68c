"""From NVML and the environment to the report, and to the one device that a worker sees."""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path
from typing import Any

from engine.hardware.nvml import Reader, explain
from engine.hardware.processor import host
from engine.hardware.report import Hardware
from engine.hardware.torch_build import runnable, torch_build
from engine.hardware.visible import narrowed
from engine.text import Phrase


def probe(
    nvml: Any = None, visible: str | None = None, *, order: str | None = None, root: Path = Path("/")
) -> Hardware:
    """What can be used here. Never raises for a driver or a card that is broken.

    nvml: the module to ask, for all GPUs that it lists; without it this machine's, and then only those that the
    installed torch computes on. `visible` and `order` are CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER (default: the
    environment's); `root` is where /proc and /sys are.
    """
    if nvml is None:
        return runnable(probe(importlib.import_module("pynvml"), visible, order=order, root=root), torch_build())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    order = os.environ.get("CUDA_DEVICE_ORDER", "") if order is None else order
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        fault, reason, remedy = explain(nvml, error)
        return Hardware((), reason, fault=fault, remedy=remedy)
    try:
        found = _read(nvml, root)
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()
    return found if visible is None or not found.gpus else _narrow(found, visible, order)


def every_gpu() -> Hardware:
    """This machine's GPUs, also those that the installed torch does not compute on."""
    return probe(importlib.import_module("pynvml"))


def visible_device(*, use_cpu: bool = False, hardware: Hardware | None = None) -> dict[str, str]:
    """Environment that shows a worker one device: the GPU with most free memory, by UUID; none where asked for."""
    if use_cpu:
        return {"CUDA_VISIBLE_DEVICES": ""}
    best = (hardware or probe()).best()
    return {"CUDA_VISIBLE_DEVICES": best.uuid} if best else {}


def _read(nvml: Any, root: Path) -> Hardware:
    def shared() -> tuple[int, int]:
        """The limit of a container counts here too: what a GPU takes of the host's memory is then the container's."""
        here = host(root)
        return here.memory, here.free

    reader = Reader(nvml, shared, root)
    driver, cuda = reader.driver(), reader.cuda()
    general = len(reader.notes)
    try:
        gpus = tuple(reader.gpus())
    except nvml.NVMLError as error:
        fault, reason, remedy = explain(nvml, error)
        return Hardware((), reason, driver, cuda, fault, remedy)
    notes = tuple(reader.notes)
    if gpus:
        return Hardware(gpus, driver=driver, cuda=cuda, notes=notes)
    if lost := notes[general:]:
        return Hardware((), lost[0].text, driver, cuda, "lost", lost[0].remedy, notes=(*notes[:general], *lost[1:]))
    remedy = Phrase("In a container or a batch job: ask for a GPU. Otherwise see what nvidia-smi lists.")
    return Hardware((), Phrase("NVML lists no device"), driver, cuda, "no_device", remedy)


def _narrow(found: Hardware, visible: str, order: str) -> Hardware:
    kept, notes = narrowed(found.gpus, visible, order)
    hidden, notes = len(found.gpus) - len(kept), found.notes + notes
    if kept:
        return Hardware(kept, driver=found.driver, cuda=found.cuda, hidden=hidden, notes=notes)
    reason = Phrase("CUDA_VISIBLE_DEVICES={visible} leaves none", {"visible": visible})
    remedy = Phrase("Unset it, or name a GPU of nvidia-smi -L by its UUID.")
    return Hardware((), reason, found.driver, found.cuda, "hidden", remedy, hidden, notes)
