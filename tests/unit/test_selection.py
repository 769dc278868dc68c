"""`split`, `num_samples` and mixing against `datasets` and numpy themselves."""

from __future__ import annotations

import random

import datasets
import numpy as np
import pytest

from engine.data.mixing import mix
from engine.data.selection import Slice, drawn, parse_split, sliced
from engine.errors import ConfigError

SPECS = [
    "train",
    "train[:10%]",
    "train[10%:]",
    "train[:3]",
    "train[-3:]",
    "train[2:-2]",
    "train[-10%:]",
    "train[:-10%]",
    "train[5:2]",
    "train[:500]",
    "train[33%:66%]",
    "train[:1%]",
    "train[:1]+train[-1:]",
    "train[50%:]+train[:50%]",
    "train[:]",
    "train[1_0:2_0]",
    "train[:7%](pct1_dropremainder)",
    "train[50%:](closest)",
]


@pytest.mark.parametrize("rows", [1, 9, 100, 137, 250])
def test_slices_are_those_of_datasets(rows):
    for spec in SPECS:
        slices = parse_split(spec)
        assert slices is not None, spec
        try:
            parts = datasets.ReadInstruction.from_spec(spec).to_absolute({"train": rows})
        except ValueError:
            with pytest.raises(ValueError):
                sliced(range(rows), slices)
            continue
        wanted = [row for part in parts for row in range(part.from_, part.to)]
        assert sliced(range(rows), slices) == wanted, (spec, rows)


@pytest.mark.parametrize(
    "spec",
    ["test", "train[", "train[:10", "train[:101%]", "train[a:]", "", "train-1", "train[3]", "train[2:5](closest)"],
)
def test_what_is_no_part_of_train_is_refused(spec):
    assert parse_split(spec) is None


def test_train_alone_is_all_of_it():
    assert parse_split("train") == (Slice(),)


@pytest.mark.parametrize("count", [1, 5, 10, 11, 25])
def test_drawing_is_numpys_permutation_and_choice(count):
    np.random.seed(3)
    wanted = np.random.permutation(10)[:count].tolist()
    wanted += np.random.choice(10, count - 10).tolist() if count > 10 else []
    assert drawn(range(10), count, np.random.RandomState(3)) == wanted
    assert len(set(wanted)) == min(count, 10)


STRATEGIES = {
    "interleave_under": "first_exhausted",
    "interleave_over": "all_exhausted",
    "interleave_once": "all_exhausted_without_replacement",
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_interleaving_is_that_of_datasets(strategy):
    rolls = random.Random(5)
    for _ in range(12):
        lengths = [rolls.randint(1, 40) for _ in range(rolls.randint(2, 4))]
        weights = [rolls.random() + 0.1 for _ in lengths]
        probs = rolls.choice([None, [weight / sum(weights) for weight in weights]])
        seed = rolls.randint(0, 99)
        starts = np.cumsum([0, *lengths]).tolist()
        lists = [list(range(start, start + length)) for start, length in zip(starts, lengths, strict=False)]
        sets = [datasets.Dataset.from_dict({"row": rows}) for rows in lists]
        wanted = datasets.interleave_datasets(sets, probs, seed, stopping_strategy=STRATEGIES[strategy])["row"]
        assert mix(lists, strategy, probs, seed) == list(wanted), (lengths, probs, seed)


def test_once_takes_every_row_exactly_once():
    """With datasets 4.0, to which LLaMA-Factory 0.9.5 is pinned, this strategy is a ValueError."""
    lists = [["a1", "a2"], ["b1"], ["c1", "c2", "c3"]]
    assert mix(lists, "interleave_once") == ["a1", "b1", "c1", "a2", "c2", "c3"]
    assert sorted(mix(lists, "interleave_once", [0.1, 0.1, 0.8], 1)) == ["a1", "a2", "b1", "c1", "c2", "c3"]


@pytest.mark.parametrize(
    ("probs", "strategy", "code"),
    [
        ([1.0], "interleave_under", "probs_count"),
        ([0.5, 0.4], "interleave_under", "probs_sum"),
        ([1.5, -0.5], "interleave_under", "probs_sum"),
        ([1.0, 0.0], "interleave_over", "probs_zero"),
        ([1.0, 0.0], "interleave_once", "probs_zero"),
    ],
)
def test_shares_that_do_not_fit(probs, strategy, code):
    with pytest.raises(ConfigError) as caught:
        mix([[1], [2]], strategy, probs)
    assert caught.value.problems[0].code == code


def test_a_share_of_zero_may_stay_out_of_undersampling():
    assert mix([[1, 2], [3]], "interleave_under", [1.0, 0.0]) == [1, 2]
