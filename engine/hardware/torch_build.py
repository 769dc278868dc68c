"""What the installed torch was built for, and whether the GPUs here can run it. torch is not imported for that."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from engine.hardware.report import Fault, Finding, Gpu, Hardware
from engine.text import Phrase

# Oldest driver of Linux for each major version of CUDA; minor versions of one major run on the same driver.
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html and Table "CUDA Toolkit and
# Minimum Required Driver Version" of https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html
OLDEST_DRIVER: dict[int, tuple[int, ...]] = {11: (450, 80, 2), 12: (525, 60, 13), 13: (580,)}

# Compute capability of the oldest cards that a CUDA still compiles for: 12.0 dropped Kepler, 13.0 Maxwell to Volta
# (release notes of both).
OLDEST_CARD: dict[int, tuple[int, int]] = {11: (3, 5), 12: (5, 0), 13: (7, 5)}
BLACKWELL, BLACKWELL_CUDA = (10, 0), (12, 8)  # the first CUDA that compiles for Blackwell (release notes of 12.8)

OLDEST_WHEELS = 12  # torch 2.10, our floor, comes for CUDA 12.6, 12.8 and 13.0
GET_STARTED = "https://pytorch.org/get-started/locally"


@dataclass(frozen=True)
class TorchBuild:
    """A torch. cuda: the version of CUDA that it brings; (0, 0) where it was not built for it."""

    version: str
    kind: Literal["cuda", "cpu", "rocm", "xpu"]
    cuda: tuple[int, int] = (0, 0)


def torch_build(folder: Path | None = None) -> TorchBuild | None:
    """Read torch/version.py, which every build writes. None where no torch is installed. folder: that of torch."""
    if folder is None:
        spec = importlib.util.find_spec("torch")
        if spec is None or spec.origin is None:
            return None
        folder = Path(spec.origin).parent
    try:
        text = (folder / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    said = dict(re.findall(r"^(\w+)\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE))
    version = said.get("__version__", "")
    cuda = re.match(r"(\d+)\.(\d+)", said.get("cuda", ""))
    if cuda:
        return TorchBuild(version, "cuda", (int(cuda.group(1)), int(cuda.group(2))))
    return TorchBuild(version, "rocm" if "hip" in said else "xpu" if "xpu" in said else "cpu")


def runnable(hardware: Hardware, build: TorchBuild | None) -> Hardware:
    """`hardware` with only the GPUs that this torch computes on, and why the others are not among them.

    Without this a run is planned on a GPU, and torch then takes the processor without a word. build: None, where no
    torch is installed, says nothing.
    """
    stops = [note for note in hardware.notes if note.severe]
    general = next(iter(stops), None) or (build and obstacle(build, hardware))
    if hardware.gpus and general:
        notes = tuple(note for note in hardware.notes if note is not general)
        fault: Fault = "driver" if stops else "torch"
        return replace(hardware, gpus=(), reason=general.text, remedy=general.remedy, fault=fault, notes=notes)
    if build is None:
        return hardware
    found = [card_obstacle(build, gpu) for gpu in hardware.gpus]
    kept = tuple(gpu for gpu, stop in zip(hardware.gpus, found, strict=True) if stop is None)
    return replace(hardware, gpus=kept, notes=(*hardware.notes, *(stop for stop in found if stop is not None)))


def obstacle(build: TorchBuild, hardware: Hardware) -> Finding | None:
    """Why this torch computes on none of these GPUs, and what to do. None where it does, or where there are none."""
    best = hardware.best()
    if best is None:
        return None
    stops = [card_obstacle(build, gpu) for gpu in hardware.gpus]
    return _of_all(build, hardware) or (card_obstacle(build, best) if all(stops) else None)


def _of_all(build: TorchBuild, hardware: Hardware) -> Finding | None:
    """What stops it whatever the card."""
    if build.kind == "cuda":
        return _driver_too_old(build, hardware)
    names = {"cpu": Phrase("processors only"), "rocm": Phrase("AMD's GPUs"), "xpu": Phrase("Intel's GPUs")}
    text = Phrase("torch {version} is built for {kind}", {"version": build.version, "kind": names[build.kind]})
    return Finding(text, Phrase("Reinstall torch with a CUDA build: {page}", {"page": GET_STARTED}))


def _driver_too_old(build: TorchBuild, hardware: Hardware) -> Finding | None:
    oldest = OLDEST_DRIVER.get(build.cuda[0], ())
    if hardware.cuda is not None:  # counts before the driver's own number: compatibility packages raise it
        enough = hardware.cuda[0] >= build.cuda[0]
    else:
        enough = not hardware.driver or not oldest or _numbers(hardware.driver) >= oldest
    if enough:
        return None
    values = {
        "driver": hardware.driver or "?",
        "version": build.version,
        "cuda": "{}.{}".format(*build.cuda),
        "oldest": ".".join(map(str, oldest)),
        "page": GET_STARTED,
    }
    text = Phrase("driver {driver} is too old for torch {version}, which is built for CUDA {cuda}", values)
    if not oldest:
        return Finding(text, Phrase("Update the driver, or install a torch for an older CUDA: {page}", values))
    if hardware.cuda is None or hardware.cuda[0] < OLDEST_WHEELS:
        return Finding(text, Phrase("Update the driver to {oldest} or newer.", values))
    values |= {"known": str(hardware.cuda[0])}
    remedy = Phrase("Update the driver to {oldest} or newer, or install a torch for CUDA {known}: {page}", values)
    return Finding(text, remedy)


def card_obstacle(build: TorchBuild, gpu: Gpu) -> Finding | None:
    """The card is older than what this torch's CUDA compiles for, or newer."""
    if gpu.capability is None or build.kind != "cuda":
        return None
    values = {
        "name": gpu.name,
        "capability": "{}.{}".format(*gpu.capability),
        "version": build.version,
        "cuda": "{}.{}".format(*build.cuda),
        "page": GET_STARTED,
    }
    if gpu.capability < OLDEST_CARD.get(build.cuda[0], (0, 0)):
        text = Phrase("{name} (compute capability {capability}) is too old for torch {version}, CUDA {cuda}", values)
        return Finding(text, Phrase("Install a torch built for an older CUDA: {page}", values))
    if gpu.capability >= BLACKWELL and build.cuda < BLACKWELL_CUDA:
        text = Phrase("{name} (compute capability {capability}) is too new for torch {version}, CUDA {cuda}", values)
        return Finding(text, Phrase("Install a torch built for CUDA 12.8 or newer: {page}", values))
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
