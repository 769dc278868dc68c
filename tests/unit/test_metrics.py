"""BLEU and ROUGE against LLaMA-Factory's own function, recorded by tests/golden/record_measures.py."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path

import pytest

from engine.errors import EnvironmentProblem
from engine.train.metrics import NAMES, longest_common, require_packages, scores, similarity
from tests.golden.record_measures import TEXTS

RECORDED = json.loads((Path(__file__).parents[1] / "golden" / "measures.json").read_text(encoding="utf-8"))[
    "similarity"
]
jieba = pytest.mark.skipif(importlib.util.find_spec("jieba") is None, reason="needs the extra `predict`")


@jieba
@pytest.mark.parametrize("number", range(len(TEXTS)), ids=[repr(pair[0][:20]) for pair in TEXTS])
def test_scores_of_an_answer_are_llamafactorys(number):
    """Figures that papers and earlier runs are compared by: to the last digit that is printed."""
    answer, expected = TEXTS[number]
    assert scores(answer, expected) == pytest.approx(RECORDED["each"][number], abs=1e-4)


@jieba
def test_the_mean_is_over_answers():
    """Not over words: short answers count as much as long ones."""
    assert similarity(TEXTS) == pytest.approx(RECORDED["together"], abs=1e-4)
    assert set(similarity(TEXTS)) == set(NAMES)
    assert similarity([]) == {}


def test_longest_common_subsequence_is_that_of_the_textbook():
    """The bits must count what the table of dynamic programming counts."""
    draw = random.Random(0)
    for _ in range(200):
        one, other = (["abcde"[draw.randrange(5)] for _ in range(draw.randrange(40))] for _ in range(2))
        table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
        for i, left in enumerate(one, 1):
            for j, right in enumerate(other, 1):
                table[i][j] = table[i - 1][j - 1] + 1 if left == right else max(table[i - 1][j], table[i][j - 1])
        assert longest_common(one, other) == table[-1][-1]


def test_a_missing_package_is_named_before_any_work(monkeypatch):
    """Not after hours of training."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem) as caught:
        require_packages()
    assert caught.value.problems[0].code == "predict_packages"
