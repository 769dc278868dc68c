from __future__ import annotations

import stat

import numpy as np
import pytest

from engine.data.conversation import Origin
from engine.data.encoded import Encoded, EncodeReport, Prompts
from engine.data.token_cache import cache_key, load, store
from engine.errors import Problem


def encoded(*rows):
    """Rows of input ids; the last token of each is labelled."""
    labels = [token if place == len(row) - 1 else -100 for row in rows for place, token in enumerate(row)]
    report = EncodeReport(cutoff_len=8, rows=len(rows), kept=len(rows))
    report.drop(Problem("row_without_answer"), Origin("a.json", 3, 1))
    report.count_masked(Origin("a.json", 4, 2))
    return Encoded(
        np.array([token for row in rows for token in row], np.int32),
        np.array(labels, np.int32),
        np.cumsum([0, *map(len, rows)]).astype(np.int64),
        report,
    )


@pytest.mark.parametrize("rows", [[[1, 2, 3], [4], [5, 6]], [[7]], []])
def test_round_trip(tmp_path, rows):
    before = encoded(*rows)
    store(tmp_path / "cache", "k", before)
    after = load(tmp_path / "cache", "k")
    for name in ("input_ids", "labels", "offsets"):
        assert getattr(after, name).tolist() == getattr(before, name).tolist()
        assert getattr(after, name).dtype == getattr(before, name).dtype
    assert after.report == before.report


def test_only_the_owner_can_read_it(tmp_path):
    folder = tmp_path / "cache"
    store(folder, "k", encoded([1]))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "k.arrow": 0o600,
        "k.json": 0o600,
    }


def test_absent(tmp_path):
    assert load(tmp_path, "k") is None


@pytest.mark.parametrize("name", ["k.arrow", "k.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_damaged_entry_counts_as_absent(tmp_path, name, damage):
    store(tmp_path, "k", encoded(list(range(5000)), [4]))  # long, so that its middle is a token
    path = tmp_path / name
    body = path.read_bytes()
    middle = len(body) // 2
    if damage == "gone":
        path.unlink()
    else:
        flipped = body[:middle] + bytes([body[middle] ^ 0x80]) + body[middle + 1 :]
        path.write_bytes({"cut": body[:middle], "flip": flipped, "empty": b""}[damage])
    assert load(tmp_path, "k") is None
    store(tmp_path, "k", encoded([9]))
    assert load(tmp_path, "k").input_ids.tolist() == [9]


def test_failed_write_leaves_the_old_entry(tmp_path, monkeypatch):
    store(tmp_path, "k", encoded([1, 2]))

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store(tmp_path, "k", encoded([3, 4, 5]))
    assert load(tmp_path, "k").input_ids.tolist() == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k.arrow", "k.json"]


def test_key_depends_on_values_only():
    assert cache_key({"a": 1, "b": [2]}) == cache_key({"b": [2], "a": 1})
    assert cache_key({"a": 1}) != cache_key({"a": 2})
    assert len(cache_key({})) == 64


@pytest.mark.parametrize("neat", [True, False])
def test_packed_rows_keep_their_samples(tmp_path, neat):
    plain = encoded([1, 2, 3], [4], [5, 6])
    offsets = np.array([0, 4, 6], np.int64)
    before = Encoded(plain.input_ids, plain.labels, offsets, plain.report, plain.offsets, neat)
    store(tmp_path, "k", before)
    after = load(tmp_path, "k")
    assert after.parts.tolist() == [0, 3, 4, 6]
    assert (len(after), after.neat) == (2, neat)
    assert [after.lengths(index) for index in range(2)] == [[3, 1], [2]]


def test_prompts_keep_their_answers(tmp_path):
    ids, labels = np.array([1, 2, 3, 4], np.int32), np.array([9, 8], np.int32)
    before = Prompts(ids, np.array([0, 1, 4]), labels, np.array([0, 2, 2]), EncodeReport(cutoff_len=8, rows=2))
    store(tmp_path, "k", before)
    after = load(tmp_path, "k")
    assert isinstance(after, Prompts)
    assert [[part.tolist() for part in after.row(index)] for index in range(2)] == [[[1], [9, 8]], [[2, 3, 4], []]]
    assert after.report == before.report
