"""What CUDA's caching allocator would hold: allocations replayed through a model of it, in bytes.

The model is c10/cuda/CUDACachingAllocator.cpp with its default settings on one stream: sizes are rounded up to 512
bytes; requests up to 1 MiB come from segments of 2 MiB, below 10 MiB from segments of 20 MiB, larger ones from one of
their own in steps of 2 MiB; the smallest free block that is large enough is taken, lowest address first, and split
where what is left is of use; freed neighbours are merged. No segment goes back. Not checked against a GPU.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

ROUNDING = 512
SMALL = 2**20  # the largest request that a small segment serves
SMALL_SEGMENT = 2 * 2**20
LARGE_SEGMENT = 20 * 2**20
OWN_SEGMENT = 10 * 2**20  # from here on a request gets a segment of its own
STEP = 2 * 2**20

WORKSPACE = 32 * 2**20  # cuBLAS on compute capability 9.0 (8,519,680 before; pytorch 95668, 120925): the larger one
CONTEXT = 500 * 2**20  # assumed: 200 to 700 MB by GPU and driver (pytorch 28113, 107667), outside the allocator
PROCESS = 450 * 2**20  # what Python, torch, transformers and peft take of RAM without any model, measured


def rounded(size: int) -> int:
    """The bytes of a block for a request."""
    return max(ROUNDING, -(-size // ROUNDING) * ROUNDING)


@dataclass
class _Block:
    start: int
    size: int
    small: bool
    free: bool = False


@dataclass
class Allocator:
    """The state of the model. reserved: bytes of all segments; allocated: of blocks in use; peak: the most of those."""

    reserved: int = 0
    allocated: int = 0
    peak: int = 0
    _next: int = 0
    _free: dict[bool, list[tuple[int, int]]] = field(default_factory=lambda: {True: [], False: []})
    _by_start: dict[int, _Block] = field(default_factory=dict)
    _by_end: dict[int, _Block] = field(default_factory=dict)
    _taken: dict[int, _Block] = field(default_factory=dict)

    def allocate(self, name: int, size: int) -> None:
        """A request of `size` bytes, known by `name` from here on."""
        size = rounded(size)
        small = size <= SMALL
        free = self._free[small]
        at = bisect_left(free, (size, -1))
        block = self._by_start[free.pop(at)[1]] if at < len(free) else self._segment(size, small)
        left = block.size - size
        if left >= ROUNDING if small else left > SMALL:
            rest = _Block(block.start + size, left, small)
            block.size = size
            self._by_end[rest.start] = block
            self._put(rest)
        block.free = False
        self._taken[name] = block
        self.allocated += block.size
        self.peak = max(self.peak, self.allocated)

    def release(self, name: int) -> None:
        """What is known by `name` is free again."""
        block = self._taken.pop(name)
        self.allocated -= block.size
        before, after = self._by_end.get(block.start), self._by_start.get(block.start + block.size)
        if before is not None and before.free:
            self._take(before)
            del self._by_start[block.start]
            before.size += block.size
            block = before
        if after is not None and after.free:
            self._take(after)
            del self._by_start[after.start]
            block.size += after.size
        self._put(block)

    def replay(self, events: Iterable[tuple[int, int]], offset: int = 0) -> None:
        """Events (name, bytes), 0 bytes for a release. `offset` is added to the names, for a second round."""
        for name, size in events:
            if size:
                self.allocate(offset + name, size)
            else:
                self.release(offset + name)

    def _segment(self, size: int, small: bool) -> _Block:
        shared = SMALL_SEGMENT if small else LARGE_SEGMENT
        room = shared if size < OWN_SEGMENT else -(-size // STEP) * STEP
        self.reserved += room
        block = _Block(self._next, room, small)
        self._next += room + STEP  # a gap: blocks of different segments are never merged
        self._by_start[block.start] = self._by_end[block.start + room] = block
        return block

    def _put(self, block: _Block) -> None:
        block.free = True
        self._by_start[block.start] = self._by_end[block.start + block.size] = block
        insort(self._free[block.small], (block.size, block.start))

    def _take(self, block: _Block) -> None:
        free = self._free[block.small]
        del free[bisect_left(free, (block.size, block.start))]
        del self._by_end[block.start + block.size]
