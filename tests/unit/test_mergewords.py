"""A merge in words: the forecast, and what the check's figure means."""

from __future__ import annotations

from typing import Any

import pytest

from tui.mergewords import merge_lines, proof_words
from tui.words import set_language


@pytest.fixture(autouse=True)
def english() -> None:
    set_language("en")


def proof(**more: Any) -> dict[str, Any]:
    return {
        "method": "logits",
        "passed": True,
        "changes_nothing": False,
        "ratio": 0.0053,
        "tensors_checked": 272,
        **more,
    }


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (proof(), "the difference is 0.53 % of what the adapter changes (allowed: 10 %). 272 tensors compared."),
        (proof(ratio=0.25), "Check passed with a remark: all 272 tensors are right, but rounding takes 25 % of what"),
        (proof(method="tensors", ratio=None), "Check passed: 272 tensors compared one by one."),
        (proof(method="none", ratio=None, tensors_checked=0), "Not checked: a note says why."),
        (proof(changes_nothing=True), "the merged model equals the base model."),
        (proof(passed=False, ratio=None), "Check NOT passed: do not use the merged model."),
        (proof(passed=False, ratio=1.5), "Its answers differ by 150 % of what the adapter changes (allowed: 10 %)."),
        ({}, "compared one by one"),  # of an older version
    ],
)
def test_the_check_says_whether_it_passed_and_what_its_figure_means(told: dict[str, Any], words: str) -> None:
    """A percentage alone is no verdict."""
    assert words in proof_words(told)


def test_what_a_merge_takes_stands_beside_what_is_free() -> None:
    """Before it has written a byte."""
    told = {"tensors": 272, "bytes_out": 270_000_000, "disk_needed": 304_000_000, "disk_free": 120_000_000_000}
    told |= {"memory_peak": 460_000_000, "memory_free": 24_000_000_000, "dtype": None}
    writes, takes = merge_lines({"merge": told})
    assert writes == "Writes 272 tensors, 0.27 GB, in the number format of the base."
    assert "0.30 GB of 120.00 GB free on the disk, 0.46 GB of 24.00 GB free in memory" in takes
    assert "in float32" in merge_lines({"merge": told | {"dtype": "float32"}})[0]
    assert merge_lines({}) == []
