"""GPUs, processor and memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from engine.doctor.check import Check, Status
from engine.hardware import GIB, Gpu, Hardware, Host
from engine.hardware.users import is_busy, users
from engine.text import Phrase, listed, verbatim

LITTLE_MEMORY = 4 * GIB  # torch, transformers and a small model; the weights of larger ones pass through it as well
NVIDIA, DISPLAY = "0x10de", "0x03"  # PCI vendor and class


def check_gpus(hardware: Hardware, root: Path = Path("/")) -> Iterator[Check]:
    """The driver, what it says of the cards, and each card."""
    title = Phrase("GPU driver")
    if hardware.gpus:
        values = {"driver": hardware.driver or "?", "count": len(hardware.gpus), "hidden": hardware.hidden}
        parts = [Phrase("NVIDIA {driver}", values)]
        if hardware.cuda:
            parts.append(Phrase("CUDA up to {version}", {"version": "{}.{}".format(*hardware.cuda)}))
        parts.append(Phrase("GPUs: {count}", values))
        if hardware.hidden:
            parts.append(Phrase("hidden by CUDA_VISIBLE_DEVICES: {hidden}", values))
        yield Check("gpu", "ok", title, listed(parts))
    else:
        yield _none(hardware, nvidia_cards(root))
    for number, note in enumerate(hardware.notes):
        yield Check(f"gpu.note.{number}", "fail" if note.severe else "warn", title, note.text, note.remedy)
    for gpu in hardware.gpus:
        yield _gpu(gpu)


def check_processor(host: Host) -> Check:
    """How many cores, and how many of them a container leaves us."""
    values = {"cores": host.cores, "installed": host.installed, "quota": host.quota}
    cores = Phrase("{cores} cores", values)
    if host.quota is not None:
        cores = Phrase("{cores} of {installed} cores (the container's limit is {quota})", values)
    elif host.installed is not None and host.cores < host.installed:
        cores = Phrase("{cores} of {installed} cores", values)
    parts = [verbatim(host.cpu), cores]
    if host.features:
        parts.append(verbatim(" ".join(host.features)))
    return Check("processor", "ok", Phrase("Processor"), listed(parts))


def check_memory(host: Host) -> Check:
    """What is free for the worker."""
    values = {"free": _gb(host.free), "total": _gb(host.memory)}
    finding = Phrase("{free} of {total} GB free", values)
    if host.limit is not None:
        finding = Phrase("{free} of {total} GB free (the container's limit)", values)
    if host.free >= LITTLE_MEMORY:
        return Check("memory", "ok", Phrase("Memory"), finding)
    least = {"needed": LITTLE_MEMORY // GIB}
    remedy = Phrase("Close what takes memory, or give the container or job more: at least {needed} GB.", least)
    return Check("memory", "warn", Phrase("Memory"), finding, remedy)


def nvidia_cards(root: Path) -> int:
    """NVIDIA's graphics cards on the PCI bus, with or without a driver."""
    count = 0
    for device in (root / "sys/bus/pci/devices").glob("*"):
        with contextlib.suppress(OSError):
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
            count += vendor == NVIDIA and kind.startswith(DISPLAY)
    return count


def _none(hardware: Hardware, cards: int) -> Check:
    """A machine without a card is no mistake; one whose card cannot be used is."""
    expected = ("no_device", "hidden") if cards else ("no_device", "hidden", "no_driver", "not_loaded")
    status: Status = "warn" if hardware.fault in expected else "fail"
    finding = Phrase("no GPU can be used: {reason}", {"reason": hardware.reason})
    if cards:
        values = {"cards": cards, "finding": finding}
        finding = Phrase("{finding} (NVIDIA cards on the bus: {cards})", values)
    return Check("gpu", status, Phrase("GPU driver"), finding, hardware.remedy)


def _gpu(gpu: Gpu) -> Check:
    values = {"free": _gb(gpu.free), "total": _gb(gpu.total)}
    parts = [verbatim(gpu.name), Phrase("{free} of {total} GB free", values)]
    if gpu.unified:
        parts.append(Phrase("shared with the processor"))
    if gpu.capability is not None:
        parts.append(Phrase("compute capability {version}", {"version": "{}.{}".format(*gpu.capability)}))
        parts.append(Phrase("bf16") if gpu.bf16 else Phrase("no bf16: fp16 is used"))
        parts += [Phrase("fp8")] if gpu.fp8 else []
    units = ((gpu.temperature, " °C"), (gpu.power_limit, " W"))
    parts += [verbatim(f"{value}{unit}") for value, unit in units if value is not None]
    if gpu.nvlinks:
        parts.append(Phrase("active NVLinks: {count}", {"count": gpu.nvlinks}))
    title, identity = Phrase("GPU {label}", {"label": gpu.label}), f"gpu.{gpu.label}"
    if not is_busy(gpu):
        return Check(identity, "ok", title, listed(parts))
    used = {"used": _gb(gpu.used or 0), "who": users(gpu)}
    parts.append(Phrase("{used} GB used by {who}", used))
    remedy = Phrase("End that, or choose another one: CUDA_VISIBLE_DEVICES=UUID (nvidia-smi -L lists them).")
    return Check(identity, "warn", title, listed(parts), remedy)


def _gb(size: int) -> str:
    return f"{size / GIB:.1f}"
