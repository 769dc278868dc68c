"""The processor and the memory, as far as the current process may use them. `root` is where /proc and /sys are."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
from pathlib import Path

from engine.hardware.cgroups import cpu_quota, memory_room
from engine.hardware.report import Host

FAST_BF16 = ("avx512_bf16", "amx_bf16", "svebf16")
# As Linux names them: "flags" of x86, "Features" of ARM.
FEATURES: tuple[str, ...] = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16")
FEATURES += ("asimd", "bf16", "sve", "sve2", "svebf16")


def host(root: Path = Path("/")) -> Host:
    """This machine as far as the current process may use it."""
    import psutil

    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    limit, room = memory_room(root)
    if limit is not None and room is not None and limit < total:  # cgroup v1 writes 2^63 where there is no limit
        total, free = limit, min(free, room)
    else:
        limit = None
    quota, allowed = cpu_quota(root), len(os.sched_getaffinity(0))
    cores = allowed if quota is None else max(1, min(allowed, math.ceil(quota)))
    about = _cpuinfo(root)
    return Host(_name(about), cores, total, free, os.cpu_count(), quota, limit, _features(about))


def cpu_has_fast_bf16(root: Path = Path("/")) -> bool:
    """Whether this processor multiplies bfloat16 faster than float32 (avx512_bf16 or amx_bf16, sve bf16)."""
    return not set(FAST_BF16).isdisjoint(_features(_cpuinfo(root)))


def _cpuinfo(root: Path) -> str:
    with contextlib.suppress(OSError):
        return (root / "proc/cpuinfo").read_text(errors="replace")
    return ""


def _name(about: str) -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", about, re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def _features(about: str) -> tuple[str, ...]:
    """Of the first core; those of all are the same."""
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", about, re.MULTILINE)
    there = set(line.group(1).split()) if line else set()
    return tuple(name for name in FEATURES if name in there)
