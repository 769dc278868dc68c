"""The model of the caching allocator against sums on paper, by the rules of CUDACachingAllocator.cpp."""

from __future__ import annotations

import pytest

from engine.memory.allocator import Allocator

KIB, MIB = 2**10, 2**20


def after(*events: tuple[int, int]) -> Allocator:
    allocator = Allocator()
    allocator.replay(events)
    return allocator


@pytest.mark.parametrize(
    ("size", "allocated", "reserved"),
    [
        (1, 512, 2 * MIB),
        (513, KIB, 2 * MIB),
        (MIB, MIB, 2 * MIB),
        (MIB + 1, MIB + 512, 20 * MIB),
        (10 * MIB - 512, 10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB, 10 * MIB),
        (10 * MIB + 1, 10 * MIB + 512, 12 * MIB),
        (11 * MIB - 512, 11 * MIB - 512, 12 * MIB),  # more than 1 MiB is left: it is split off
        (11 * MIB, 12 * MIB, 12 * MIB),  # exactly 1 MiB is not
    ],
)
def test_one_request(size, allocated, reserved):
    found = after((1, size))
    assert (found.allocated, found.reserved) == (allocated, reserved)


def test_small_requests_share_a_segment_and_the_next_one_needs_another():
    found = after(*((name, 512 * KIB) for name in range(4)))
    assert (found.allocated, found.reserved) == (2 * MIB, 2 * MIB)
    found.allocate(9, 1)
    assert found.reserved == 4 * MIB


def test_what_is_left_of_a_large_segment_serves_large_requests():
    found = after((1, 5 * MIB), (2, 14 * MIB))  # 15 MiB are left; of these 1 MiB is too little to split off
    assert (found.allocated, found.reserved) == (20 * MIB, 20 * MIB)


def test_the_smallest_block_that_is_large_enough_is_taken():
    found = after((1, 12 * MIB), (2, 16 * MIB), (3, 14 * MIB), (1, 0), (2, 0), (3, 0), (4, 14 * MIB), (5, 16 * MIB))
    assert found.reserved == (12 + 16 + 14) * MIB
    found.allocate(6, 13 * MIB)  # 12 MiB are free: too small
    assert found.reserved == (12 + 16 + 14 + 14) * MIB


def test_freed_neighbours_are_one_block_again():
    thirds = [(1, 6 * MIB), (2, 6 * MIB), (3, 6 * MIB)]  # one segment of 20 MiB, 2 MiB left
    found = after(*thirds, (1, 0), (3, 0), (2, 0), (4, 20 * MIB))
    assert (found.allocated, found.reserved) == (20 * MIB, 20 * MIB)


def test_what_lies_between_two_that_are_free_keeps_them_apart():
    found = after((1, 6 * MIB), (2, 6 * MIB), (3, 6 * MIB), (1, 0), (3, 0), (4, 9 * MIB))
    assert found.reserved == 40 * MIB  # 6 and 8 MiB are free: neither holds 9


def test_segments_are_never_merged():
    found = after((1, 12 * MIB), (2, 12 * MIB), (1, 0), (2, 0), (3, 24 * MIB))
    assert (found.reserved, found.allocated, found.peak) == (48 * MIB, 24 * MIB, 24 * MIB)


def test_a_small_request_never_comes_out_of_a_large_segment():
    assert after((1, 12 * MIB), (1, 0), (2, 512)).reserved == 14 * MIB


def test_the_same_step_again_needs_nothing_more():
    step = [(1, 3 * MIB), (2, 700), (3, 11 * MIB), (1, 0), (4, 4 * MIB), (3, 0), (2, 0), (4, 0)]
    found = after(*step)
    reserved = found.reserved
    found.replay(step, offset=100)
    assert (found.reserved, found.allocated) == (reserved, 0)
