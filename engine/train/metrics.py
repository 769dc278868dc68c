"""BLEU-4 and ROUGE as LLaMA-Factory reports them: in percent, averaged over answers.

ROUGE compares words as jieba finds them (rouge_chinese's formula), BLEU characters (nltk's sentence_bleu, smoothing
method 3). Written anew because the packages take O(length²) dictionary entries: 40 s for an answer of 3000 words.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from engine.errors import EnvironmentProblem, Problem
from engine.storage import cache_folder

NAMES = ("rouge-1", "rouge-2", "rouge-l", "bleu-4")
# Where rouge_chinese ends a sentence; some of these fall inside a word of jieba's.
_ENDS = (
    (re.compile("([。！？?])([^”’])"), r"\1\n\2"),
    (re.compile(r"(\.{6})([^”’])"), r"\1\n\2"),
    (re.compile("(…{2})([^”’])"), r"\1\n\2"),
    (re.compile("([。！？?][”’])([^，。！？?])"), r"\1\n\2"),
)


def require_packages() -> None:
    """Raise EnvironmentProblem where what divides a text into words is not installed."""
    if importlib.util.find_spec("jieba") is None:
        raise EnvironmentProblem(Problem("predict_packages", {"name": "jieba"}, "predict_with_generate"))


def similarity(pairs: Iterable[tuple[str, str]]) -> dict[str, float]:
    """(answer, expected) texts → the mean of each score over all pairs, {} for none."""
    found = [scores(answer, expected) for answer, expected in pairs]
    return {name: sum(each[name] for each in found) / len(found) for name in NAMES} if found else {}


def scores(answer: str, expected: str) -> dict[str, float]:
    """Scores of one answer, 0 to 100, to four digits."""
    mine, theirs = words(answer), words(expected)
    found = dict.fromkeys(NAMES, 0.0)
    if any(mine) and any(theirs):
        for n in (1, 2):
            one, other = (set(zip(*(part[at:] for at in range(n)), strict=False)) for part in (mine, theirs))
            found[f"rouge-{n}"] = _f_score(len(one & other), len(one), len(other))
        found["rouge-l"] = _f_score(longest_common(mine, theirs), len(mine), len(theirs))
    found["bleu-4"] = bleu(answer, expected)
    return {name: round(100 * value, 4) for name, value in found.items()}


def words(text: str) -> list[str]:
    """The words of a text; an empty one for a sentence of white space, as rouge_chinese counts them."""
    import jieba

    jieba.setLogLevel(logging.WARNING)
    jieba.dt.tmp_dir = str(cache_folder("jieba"))  # not /tmp, where anyone may put a file for it to load
    line = " ".join(jieba.cut(text))
    for pattern, parted in _ENDS:
        line = pattern.sub(parted, line)
    return [word for part in line.rstrip().split("\n") if part for word in " ".join(part.split()).split(" ")]


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence; one bit of an integer a word (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for at, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << at
    row = 0
    for word in other:
        either = row | places.get(word, 0)
        row = either & ((either - (row << 1 | 1)) ^ either)
    return row.bit_count()


def bleu(answer: str, expected: str) -> float:
    """BLEU of up to four characters in a row, 0 to 1. A length without a match counts 1/2, 1/4, … of a match."""
    if not answer:
        return 0.0
    total, halvings = 0.0, 0
    for n in range(1, 5):
        mine, theirs = (Counter(text[at : at + n] for at in range(len(text) - n + 1)) for text in (answer, expected))
        matches, possible = (mine & theirs).total(), max(1, mine.total())
        if n == 1 and not matches:
            return 0.0
        if not matches:
            halvings += 1
        total += math.log((matches or 0.5**halvings) / possible) / 4
    brevity = 1.0 if len(answer) > len(expected) else math.exp(1 - len(expected) / len(answer))
    return brevity * math.exp(total)


def _f_score(common: int, mine: int, theirs: int) -> float:
    precision, recall = common / mine if mine else 0.0, common / theirs if theirs else 0.0
    return 2 * precision * recall / (precision + recall + 1e-8)
