"""Rows one by one as the model will see them: what is learnt of each, what was cut off, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.config.schema import TrainConfig
from engine.data.conversation import Sample
from engine.data.encode import Encoder
from engine.data.encoded import where
from engine.data.options import EncodeOptions
from engine.data.sampling import SampleRow, TokenTexts, sample_row
from engine.data.template_slots import Template
from engine.errors import Problem

TOKENS = 1000  # shown of one stretch
STRETCHES = 100  # shown of one row


@dataclass(frozen=True, slots=True)
class RowView:
    """Row `number` (from 1) of `rows`. `where` it stands in its file. row: its tokens, None where it is left out.

    tokens_cut: lost at cutoff_len; answer_cut, end_lost: whether part of an answer, or its end mark, is among them.
    problem: why the row is left out.
    """

    number: int
    rows: int
    where: str
    row: SampleRow | None
    tokens_cut: int = 0
    answer_cut: bool = False
    end_lost: bool = False
    problem: Problem | None = None

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        raw = {name: getattr(self, name) for name in self.__slots__}
        raw["row"] = self.row.as_dict() if self.row else None
        return raw | {"problem": self.problem.as_dict() if self.problem else None}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> RowView:
        """Inverse of `as_dict`."""
        row = SampleRow.from_dict(raw["row"]) if raw["row"] else None
        return cls(**{**raw, "row": row, "problem": Problem.from_dict(raw["problem"]) if raw["problem"] else None})


def views(
    samples: Sequence[Sample], start: int, count: int, config: TrainConfig, tokenizer: Any, template: Template | None
) -> list[RowView]:
    """`count` of the samples from place `start` on, each tokenised by itself: packing would not change its tokens.

    The tokenizer must have passed `prepare_tokenizer`. Raises ConfigError as `Encoder` does.
    """
    encoder = Encoder(tokenizer, template, replace(EncodeOptions.of(config), packing=False, neat_packing=False))
    texts = TokenTexts(tokenizer)
    found = []
    for place in range(start, min(start + count, len(samples))):
        encoded = encoder.encode_all(samples[place : place + 1])
        report, row = encoded.report, None
        if len(encoded):
            ids, labels = encoded.row(0)
            row = sample_row(place + 1, len(samples), ids, labels, texts, tokens=TOKENS, stretches=STRETCHES)
        found.append(
            RowView(
                number=place + 1,
                rows=len(samples),
                where=where(samples[place].origin),
                row=row,
                tokens_cut=report.tokens_cut,
                answer_cut=bool(report.answers_cut),
                end_lost=bool(report.end_marks_lost),
                problem=report.problems[0] if report.problems else None,
            )
        )
    return found
