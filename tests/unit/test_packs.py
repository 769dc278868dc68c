from __future__ import annotations

import numpy as np
import pytest

from engine.data.encoded import Encoded, EncodeReport
from engine.data.packs import pack, windows


def encoded(lengths):
    """Samples whose tokens are their own number."""
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    ids = np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)
    return Encoded(ids, -ids, offsets, EncodeReport(100))


def rows_of(found):
    return [list(dict.fromkeys(found.row(index)[0].tolist())) for index in range(len(found))]


def test_each_row_takes_the_longest_sample_that_fits_and_of_equal_ones_the_last():
    lengths = [3, 5, 3, 8, 2, 3, 5]
    found = pack(encoded(lengths), [np.arange(7)], 10, neat=True)
    # 8 + 2; the later 5 + the earlier; the 3s from the back
    assert rows_of(found) == [[3, 4], [6, 1], [5, 2, 0]]
    assert [found.lengths(index) for index in range(3)] == [[8, 2], [5, 5], [3, 3, 3]]
    assert found.offsets.tolist() == [0, 10, 20, 29]
    assert found.labels.tolist() == (-found.input_ids).tolist()
    assert (found.longest, found.report.packed_rows, found.neat) == (10, 3, True)


def test_groups_are_packed_apart_and_may_leave_samples_out():
    found = pack(encoded([1, 1, 1, 1, 1]), [np.array([0, 1]), np.array([], int), np.array([4])], 10, neat=False)
    assert rows_of(found) == [[1, 0], [4]]


@pytest.mark.parametrize(
    ("total", "size", "shards", "spans"),
    [
        (5, 2, 1, [(0, 2), (2, 4), (4, 5)]),
        (7, 2, 3, [(0, 2), (2, 3), (3, 5), (5, 7)]),  # shards of 3, 2 and 2
        (2, 1000, 8, [(0, 1), (1, 2)]),
        (0, 10, 4, []),
    ],
)
def test_windows_are_those_of_datasets_map(total, size, shards, spans):
    assert list(windows(total, size, shards)) == spans
