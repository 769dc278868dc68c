"""CUDA_VISIBLE_DEVICES, read as CUDA reads it, over GPUs that NVML lists."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.hardware.report import Finding, Gpu
from engine.text import Phrase


def narrowed(gpus: Sequence[Gpu], visible: str, order: str) -> tuple[tuple[Gpu, ...], tuple[Finding, ...]]:
    """The GPUs that `visible` leaves, in NVML's order, and what is doubtful about it. order: CUDA_DEVICE_ORDER.

    Rules: https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html; the first
    entry that is not there ends the list. UUIDs may be cut short as long as they are clear. Twice the same shows
    nothing (so torch's reading of it, torch/cuda/__init__.py). A card in MIG mode stands for its slices.
    """
    entries = [part.strip() for part in visible.split(",")]
    by_uuid = entries[0].startswith(("GPU-", "MIG-"))
    chosen: list[str] = []  # labels of cards or slices
    notes: list[Finding] = []
    for entry in entries:
        found = _of_uuid(gpus, entry) if by_uuid else _of_number(gpus, entry)
        if not found:
            if _names_something(entry):
                notes.append(_ends_list(entry))
            break
        if set(found) & set(chosen):
            text = Phrase("CUDA_VISIBLE_DEVICES names {entry} twice: CUDA then shows no GPU at all", {"entry": entry})
            return (), (Finding(text, Phrase("Name each GPU once.")),)
        chosen += found
    kept = tuple(gpu for gpu in gpus if gpu.label in chosen)
    if not by_uuid and kept and len(kept) < len(gpus) and order != "PCI_BUS_ID" and len({g.name for g in gpus}) > 1:
        notes.append(
            Finding(
                Phrase(
                    "CUDA_VISIBLE_DEVICES={visible} counts as nvidia-smi does here; CUDA itself counts different cards "
                    "from the fastest on, and may mean others",
                    {"visible": visible},
                ),
                Phrase("Name them by UUID (nvidia-smi -L), or set CUDA_DEVICE_ORDER=PCI_BUS_ID."),
            )
        )
    return kept, tuple(notes)


def _of_number(gpus: Sequence[Gpu], entry: str) -> list[str]:
    number = re.match(r"[+-]?\d+", entry)  # CUDA's strtoul: `1gpu` is 1
    return [gpu.label for gpu in gpus if number and gpu.index == int(number.group())]


def _of_uuid(gpus: Sequence[Gpu], entry: str) -> list[str]:
    if entry.startswith("MIG-"):
        found = [gpu.label for gpu in gpus if gpu.uuid.startswith(entry)]
        return found if len(found) == 1 else []
    cards = {(gpu.card or gpu.uuid) for gpu in gpus if entry and (gpu.card or gpu.uuid).startswith(entry)}
    return [gpu.label for gpu in gpus if (gpu.card or gpu.uuid) in cards] if len(cards) == 1 else []


def _names_something(entry: str) -> bool:
    """Whether an entry was meant to be a GPU: -1, NoDevFiles and an empty one are ways to say none."""
    return entry.startswith(("GPU-", "MIG-")) or entry.isdigit()


def _ends_list(entry: str) -> Finding:
    return Finding(
        Phrase(
            "CUDA_VISIBLE_DEVICES names {entry}, which is not one GPU here; CUDA leaves it and all after it out",
            {"entry": entry},
        ),
        Phrase("nvidia-smi -L lists the GPUs and their UUIDs."),
    )
