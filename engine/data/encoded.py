"""Tokenised rows and the report on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.data.conversation import Origin
from engine.errors import DataError, Problem

FIRST = 3  # rows named in a report


@dataclass(slots=True)
class EncodeReport:
    """What became of the rows; counts of tokens are after truncation unless they say otherwise."""

    cutoff_len: int
    rows: int = 0  # samples given
    kept: int = 0  # rows encoded; the others are in `problems`
    tokens: int = 0
    labelled_tokens: int = 0
    longest: int = 0
    longest_whole: int = 0  # before truncation, as is shortest_whole
    shortest_whole: int = 0
    truncated: int = 0  # rows that lost tokens
    tokens_cut: int = 0
    answers_cut: int = 0  # rows that lost tokens of an answer, or whole answers
    end_marks_lost: int = 0  # rows with an answer that was cut in front of its end mark
    unlabelled_answers: int = 0  # earlier answers that the chat template rewrites
    unlearned_answers: int = 0  # answers that the rows' own flags leave out
    packed_rows: int = 0  # rows that the kept ones were packed into; 0 without packing
    fully_masked: int = 0  # rows kept without a single label
    fully_masked_first: list[Origin] = field(default_factory=list)
    sets: list[dict[str, Any]] = field(default_factory=list)  # what became of each dataset's rows: Tally.as_dict
    problems: list[Problem] = field(default_factory=list)  # one warning a reason for dropped rows, with its count

    def count(
        self, whole: Sequence[tuple[int, int]], kept: Sequence[tuple[int, int]], *, end_lost: bool, extra: int = 0
    ) -> None:
        """Add a row of these (source, target) lengths in tokens, before and after truncation, and `extra` tokens."""
        before, after = (sum(map(sum, lengths)) + extra for lengths in (whole, kept))
        self.kept += 1
        self.longest = max(self.longest, after)
        self.longest_whole = max(self.longest_whole, before)
        self.shortest_whole = before if self.kept == 1 else min(self.shortest_whole, before)
        self.truncated += after < before
        self.tokens_cut += before - after
        self.answers_cut += any(now < then for (_, then), (_, now) in zip(whole, kept, strict=True))
        self.end_marks_lost += end_lost

    def count_masked(self, origin: Origin) -> None:
        """Note a row that was kept without a label."""
        self.fully_masked += 1
        if len(self.fully_masked_first) < FIRST:
            self.fully_masked_first.append(origin)

    def drop(self, problem: Problem, origin: Origin) -> None:
        """Note a row that cannot be encoded; rows of the same code share one warning, in the words of the first."""
        for number, known in enumerate(self.problems):
            if known.code == problem.code:
                params = {**known.params, "rows": known.params["rows"] + 1}
                if len(params["first"]) < FIRST:
                    params["first"] = [*params["first"], where(origin)]
                self.problems[number] = Problem(problem.code, params, severity="warning")
                return
        params = {**problem.params, "rows": 1, "first": [where(origin)]}
        self.problems.append(Problem(problem.code, params, severity="warning"))

    def warnings(self) -> list[Problem]:
        """Everything here that a person should know before training, as warnings."""
        found = list(self.problems)
        if self.truncated:
            names = ("truncated", "kept", "tokens_cut", "answers_cut", "end_marks_lost", "cutoff_len", "longest_whole")
            params = {name: getattr(self, name) for name in names}
            found.append(Problem("rows_truncated", params, key="cutoff_len", severity="warning"))
        if self.fully_masked:
            params = {"rows": self.fully_masked, "first": [where(origin) for origin in self.fully_masked_first]}
            found.append(Problem("rows_without_labels", params, severity="warning"))
        if self.unlearned_answers:
            params = {"answers": self.unlearned_answers}
            found.append(Problem("answers_flagged", params, severity="note"))
        if self.unlabelled_answers:
            params = {"answers": self.unlabelled_answers}
            found.append(Problem("answers_rewritten", params, key="template", severity="warning"))
        return found

    def as_dict(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {**asdict(self), "problems": [problem.as_dict() for problem in self.problems]}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> EncodeReport:
        """Inverse of `as_dict`. Raises TypeError on members it does not know, KeyError on missing lists."""
        origins = [Origin(**origin) for origin in raw["fully_masked_first"]]
        problems = [Problem.from_dict(problem) for problem in raw["problems"]]
        return cls(**{**raw, "fully_masked_first": origins, "problems": problems})


@dataclass(frozen=True, slots=True)
class Encoded:
    """All rows end to end: `input_ids` and `labels` int32 [tokens], `offsets` int64 [rows + 1] from 0 to tokens.

    A label is -100 where nothing is to be learnt. Where samples were packed, `parts` int64 [samples + 1] are the
    offsets of the samples, those of the rows among them; `neat` says that they do not see each other.
    """

    input_ids: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    report: EncodeReport
    parts: npt.NDArray[np.int64] | None = None
    neat: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def longest(self) -> int:
        """Tokens of the longest row; 0 where there is none."""
        return int(np.diff(self.offsets).max(initial=0))

    def lengths(self, index: int) -> list[int]:
        """Tokens of each sample of the row, left to right: one where nothing was packed."""
        first, last = self.offsets[index], self.offsets[index + 1]
        if self.parts is None:
            return [int(last - first)]
        inside = slice(*np.searchsorted(self.parts, (first, last)))
        return [int(length) for length in np.diff(self.parts[inside], append=last)]

    def row(self, index: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Views of the row's input ids and labels, each [tokens of the row]."""
        span = slice(self.offsets[index], self.offsets[index + 1])
        return self.input_ids[span], self.labels[span]


@dataclass(frozen=True, slots=True)
class Prompts:
    """Questions to answer: all prompts end to end, and all expected answers.

    `input_ids` int32 with `offsets` int64 [rows + 1], `labels` (the answers) int32 with `label_offsets` [rows + 1].
    In the report `tokens` are those of the prompts, `labelled_tokens` those of the answers.
    """

    input_ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int32]
    label_offsets: npt.NDArray[np.int64]
    report: EncodeReport

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, index: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Views of the row's prompt and expected answer."""
        prompt = slice(self.offsets[index], self.offsets[index + 1])
        return self.input_ids[prompt], self.labels[self.label_offsets[index] : self.label_offsets[index + 1]]


def check_encoded(encoded: Encoded) -> None:
    """Raise DataError where training would learn nothing.

    no_rows (nothing was given), no_rows_left (all were dropped; the reasons follow as warnings),
    cutoff_leaves_no_answer, all_labels_masked.
    """
    report = encoded.report
    if not report.rows:
        raise DataError(Problem("no_rows"))
    if not report.kept:
        raise DataError(Problem("no_rows_left", {"rows": report.rows}), *report.problems)
    if report.labelled_tokens:
        return
    params: dict[str, Any] = {"rows": report.kept, "first": [where(origin) for origin in report.fully_masked_first]}
    reason = Problem("all_labels_masked", params, key="template")
    if report.answers_cut:
        params |= {
            "cutoff_len": report.cutoff_len,
            "at_least": report.shortest_whole,
            "longest": report.longest_whole,
        }
        reason = Problem("cutoff_leaves_no_answer", params, key="cutoff_len")
    if len(encoded.input_ids):
        raise DataError(reason)
    # Packed into rows that have room for nothing.
    raise DataError(Problem("no_rows_left", {"rows": report.rows}), replace(reason, severity="warning"))


def where(origin: Origin) -> str:
    """`file:line`, or `file#index` where the format has no lines."""
    return f"{origin.file}:{origin.line}" if origin.line else f"{origin.file}#{origin.row}"
