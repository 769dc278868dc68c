"""Who else is on a GPU, in words."""

from __future__ import annotations

from engine.hardware.report import GIB, Gpu
from engine.text import Phrase, listed, verbatim

BUSY = GIB  # a desktop takes less than this


def is_busy(gpu: Gpu) -> bool:
    """Whether others hold enough of it to matter."""
    return (gpu.used or 0) >= BUSY


def users(gpu: Gpu) -> Phrase:
    """`python (pid 4242, alice, 60.0 GB)`, as far as it is known."""
    if not gpu.processes:
        return Phrase("processes that cannot be seen from here")
    told = []
    for process in gpu.processes:
        memory = "" if process.memory is None else f"{process.memory / GIB:.1f} GB"
        about = ", ".join(part for part in (f"pid {process.pid}", process.user, memory) if part)
        told.append(verbatim(f"{process.name} ({about})" if process.name else about))
    return listed(told)
