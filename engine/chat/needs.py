"""What a talk takes of the memory, before anything is loaded. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.chat.source import ChatSource
from engine.hardware import Hardware, Host, cpu_has_fast_bf16

WEIGHTS = ("*.safetensors", "*.bin")
OVERHEAD = 1.1  # of the weights: the talk so far, buffers, the libraries' own
LIBRARIES = 700_000_000  # bytes that torch, transformers and peft take in the processor's memory


@dataclass(frozen=True)
class Needs:
    """Bytes, about. device: the GPU's name, empty for the processor."""

    needed: int
    free: int
    device: str

    @property
    def fits(self) -> bool:
        """As far as one can tell."""
        return self.needed <= self.free


def needs(source: ChatSource, hardware: Hardware, host: Host) -> Needs:
    """Of the weights on disk, in the number format that they are loaded in."""
    card = None if source.use_cpu else hardware.best()
    weights = sum(_bytes(Path(folder)) for folder in (source.base, source.adapter, *source.before) if folder)
    if card is None and source.dtype is None and not cpu_has_fast_bf16():
        weights *= 2  # 16 bits are made 32: a processor without bf16 would take minutes for a word
    needed = int(weights * OVERHEAD)
    if card is not None:
        return Needs(needed, card.free, card.name)
    return Needs(needed + LIBRARIES, host.free, "")


def _bytes(folder: Path) -> int:
    found = next((files for pattern in WEIGHTS if (files := list(folder.glob(pattern)))), [])
    return sum(file.stat().st_size for file in found)
