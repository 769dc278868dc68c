"""Samples to rows of about cutoff_len tokens, by LLaMA-Factory's rule and in its order.

LLaMA-Factory fills rows inside each group of preprocessing_batch_size samples, and every one of its
preprocessing_num_workers processes groups a contiguous part of the data by itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from engine.data.encoded import Encoded

Tokens = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]


def pack(encoded: Encoded, groups: Sequence[Offsets], capacity: int, *, neat: bool) -> Encoded:
    """The samples of `encoded` as packed rows of `capacity` tokens at most; `groups` are the indexes packed together.

    A longer sample belongs in no group. Nothing is padded.
    """
    lengths = np.diff(encoded.offsets)
    rows = [row for group in groups for row in _fill(group.tolist(), lengths[group].tolist(), capacity)]
    order = np.fromiter((sample for row in rows for sample in row), np.int64)
    parts = np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int64)
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    encoded.report.packed_rows = len(rows)
    return Encoded(
        _gather(encoded.input_ids, encoded.offsets, order, parts),
        _gather(encoded.labels, encoded.offsets, order, parts),
        np.concatenate([parts[:1], parts[ends]]),
        encoded.report,
        parts,
        neat,
    )


def windows(total: int, size: int, shards: int) -> Iterator[tuple[int, int]]:
    """[first, end) of each group of `total` samples: batches of `size` inside contiguous shards, as `datasets.map`."""
    shards = max(min(shards, total), 1)
    share, longer = divmod(total, shards)
    start = 0
    for shard in range(shards):
        end = start + share + (shard < longer)
        yield from ((first, min(first + size, end)) for first in range(start, end, size))
        start = end


def _fill(samples: list[int], lengths: list[int], capacity: int) -> Iterator[list[int]]:
    """Greedy knapsacks: each takes the longest sample that still fits, of equal ones the last."""
    by_length = [sample for _, sample in sorted(zip(lengths, samples, strict=True))]
    lengths = sorted(lengths)
    while lengths:
        room = capacity
        row = []
        while at := bisect_right(lengths, room):
            room -= lengths.pop(at - 1)
            row.append(by_length.pop(at - 1))
        yield row


def _gather(values: Tokens, offsets: Offsets, order: Offsets, into: Offsets) -> Tokens:
    result = np.empty(into[-1], np.int32)
    for number, sample in enumerate(order.tolist()):
        result[into[number] : into[number + 1]] = values[offsets[sample] : offsets[sample + 1]]
    return result
