"""The frozen report of a machine. Sizes are in bytes; None is what could not be found out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from engine.text import NOTHING, Phrase

GIB = 1 << 30

# Why there is no GPU: no_device where NVML works and lists none, lost where all that it lists fail, hidden where
# CUDA_VISIBLE_DEVICES leaves none, torch where the installed one runs on none; the others are the driver's.
Fault = Literal[
    "", "no_driver", "not_loaded", "mismatch", "no_permission", "driver", "no_device", "lost", "hidden", "torch"
]


@dataclass(frozen=True)
class Finding:
    """Something that a person should know, and what to do about it. severe: nothing can be computed like this."""

    text: Phrase
    remedy: Phrase = NOTHING
    severe: bool = False


@dataclass(frozen=True)
class GpuProcess:
    """Who uses a GPU. pid: as the machine counts, in a container too. name, user: empty where they cannot be seen."""

    pid: int
    name: str = ""
    user: str = ""
    memory: int | None = None


@dataclass(frozen=True)
class Gpu:
    """A card, or a MIG slice of one, as NVML lists it. CUDA may number them otherwise: `uuid` tells them apart.

    used: what processes hold, without what the driver keeps for itself. capability: CUDA's compute capability.
    temperature: °C. power_limit: watts. utilisation: percent. nvlinks: active links. slice: number of a MIG slice on
    its card, `card` is then the card's UUID. unified: it has no memory of its own; `total` and `free` are the host's.
    """

    index: int
    uuid: str
    name: str
    total: int
    free: int
    used: int | None = None
    processes: tuple[GpuProcess, ...] = ()
    capability: tuple[int, int] | None = None
    temperature: int | None = None
    power_limit: int | None = None
    utilisation: int | None = None
    nvlinks: int | None = None
    slice: int | None = None
    card: str = ""
    unified: bool = False

    @property
    def label(self) -> str:
        """Its number as nvidia-smi counts; `0:1` is slice 1 of card 0."""
        return str(self.index) if self.slice is None else f"{self.index}:{self.slice}"

    @property
    def bf16(self) -> bool | None:
        """Whether it multiplies bfloat16 in hardware: from Ampere on."""
        return None if self.capability is None else self.capability >= (8, 0)

    @property
    def fp8(self) -> bool | None:
        """Whether it multiplies 8-bit floats in hardware: from Ada on."""
        return None if self.capability is None else self.capability >= (8, 9)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "label": self.label, "bf16": self.bf16, "fp8": self.fp8}


@dataclass(frozen=True)
class Host:
    """The processor and memory as far as we may use them: within our affinity and the limits of our container.

    cores: whole ones that we may keep busy; installed: those of the machine. quota: cores' worth of time that the
    container gets, None without a limit. limit: memory of the container, None without one. features: instruction sets
    that matter to training.
    """

    cpu: str
    cores: int
    memory: int
    free: int
    installed: int | None = None
    quota: float | None = None
    limit: int | None = None
    features: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Hardware:
    """Usable GPUs, and where there are none, why and what to do.

    cuda: newest CUDA that the driver runs. hidden: GPUs that CUDA_VISIBLE_DEVICES takes away. notes: what else was
    noticed, such as a card that fell off the bus.
    """

    gpus: tuple[Gpu, ...]
    reason: Phrase = NOTHING
    driver: str = ""
    cuda: tuple[int, int] | None = None
    fault: Fault = ""
    remedy: Phrase = NOTHING
    hidden: int = 0
    notes: tuple[Finding, ...] = ()

    def best(self) -> Gpu | None:
        """The GPU with most free memory."""
        return max(self.gpus, key=lambda gpu: gpu.free, default=None)

    def as_dict(self) -> dict[str, Any]:
        """As JSON, in English."""
        return {
            "gpus": [gpu.as_dict() for gpu in self.gpus],
            "driver": self.driver or None,
            "cuda": self.cuda,
            "fault": self.fault or None,
            "reason": str(self.reason) or None,
            "remedy": str(self.remedy) or None,
            "hidden": self.hidden,
            "notes": [
                {"text": str(note.text), "remedy": str(note.remedy), "severe": note.severe} for note in self.notes
            ],
        }
