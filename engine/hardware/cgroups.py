"""Limits of the container or batch job that we run in: control groups of Linux, version 2 and version 1."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MOUNT = "sys/fs/cgroup"
_NO_LIMIT = 1 << 60  # version 1 has no word for it and shows the largest number of pages


def memory_room(root: Path) -> tuple[int | None, int | None]:
    """The smallest memory limit on the way to our group, and the least that any limit leaves; None without one.

    Files that were read and can be dropped again do not count as used: usage less inactive_file, Kubernetes' working
    set.
    """
    limits, rooms = [], []
    for folder in _groups(root, "memory"):
        limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
        if limit is None or limit >= _NO_LIMIT:
            continue
        limits.append(limit)
        used = _number(folder / "memory.current", folder / "memory.usage_in_bytes") or 0
        rooms.append(max(0, limit - max(0, used - _inactive(folder))))
    return min(limits, default=None), min(rooms, default=None)


def cpu_quota(root: Path) -> float | None:
    """Cores' worth of time that we get: the smallest quota on the way to our group; None without one."""
    found = []
    for folder in _groups(root, "cpu"):
        with contextlib.suppress(OSError, ValueError):  # "max 100000"
            quota, period = map(int, (folder / "cpu.max").read_text().split())
            found.append(quota / period)
        quota_v1, period_v1 = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota_v1 is not None and period_v1 and quota_v1 > 0:
            found.append(quota_v1 / period_v1)
    return min(found, default=None)


def kills(root: Path = Path("/")) -> dict[str, str | int]:
    """How often the kernel has killed for want of memory: {file: where that is counted, count}; empty where it is not.

    Counted for our group; where it has no count of its own, for the whole machine.
    """
    folders = [folder / name for folder in _groups(root, "memory") for name in ("memory.events", "memory.oom_control")]
    for file in (*folders, root / "proc/vmstat"):
        if (count := kills_in(file)) is not None:
            return {"file": str(file), "count": count}
    return {}


def kills_in(file: Path) -> int | None:
    """The count of a file that `kills` named; None where there is none."""
    with contextlib.suppress(OSError):
        if found := re.search(r"^oom_kill (\d+)", file.read_text(), re.MULTILINE):
            return int(found.group(1))
    return None


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders from our group up to the top of what is mounted, of the hierarchy that has the controller.

    A container often sees its own group as the top while /proc/self/cgroup tells a path of the machine: folders that
    are not there are passed over, and the top is looked at always.
    """
    text = ""
    with contextlib.suppress(OSError):
        text = (root / "proc/self/cgroup").read_text()
    bases = [(root / MOUNT, "")]
    for line in text.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:  # version 2; mounted at unified where both are used
            bases += [(root / MOUNT, path), (root / MOUNT / "unified", path)]
        elif controller in controllers.split(","):
            bases += [(root / MOUNT / name, path) for name in {controller, controllers}]
    seen = set()
    for base, path in bases:
        below = PurePosixPath(*[part for part in PurePosixPath(path).parts if part not in ("/", "..")])
        for part in (below, *below.parents):
            folder = base / part
            if folder not in seen:
                seen.add(folder)
                yield folder


def _number(*files: Path) -> int | None:
    """The number in the first file that has one."""
    for file in files:
        with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
            return int(file.read_text())
    return None


def _inactive(folder: Path) -> int:
    text = ""
    with contextlib.suppress(OSError):
        text = (folder / "memory.stat").read_text()
    found = re.search(r"^total_inactive_file (\d+)", text, re.MULTILINE)  # version 1: with the groups below
    found = found or re.search(r"^inactive_file (\d+)", text, re.MULTILINE)
    return int(found.group(1)) if found else 0
