"""Samples to token ids and labels, with LLaMA-Factory's truncation, and what became of every row."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.data.conversation import Conversation, Sample
from engine.data.encoded import Encoded, EncodeReport
from engine.data.options import EncodeOptions
from engine.data.segments import (
    AutoSegmenter,
    NamedSegmenter,
    Pair,
    Segmenter,
    Segments,
    chat_messages,
    render_chat,
    require_chat_template,
)
from engine.data.templates import Template, encode_texts, encode_turns, stop_token_ids
from engine.errors import Problem, StopRequested

IGNORE = -100
CHUNK = 1000  # rows tokenised by one call: a fraction of a second, so that a stop is heard soon

Lengths = tuple[int, int]


class Encoder:
    """Encodes samples with a named template, or with the tokenizer's own chat template where `template` is None.

    The tokenizer must have passed `prepare_tokenizer`. `train_on_prompt` and `mask_history` mean what they mean in
    LLaMA-Factory: questions are labelled too; only the last answer is labelled, and truncation spares it.
    """

    def __init__(
        self,
        tokenizer: Any,
        template: Template | None,
        cutoff_len: int,
        *,
        train_on_prompt: bool = False,
        mask_history: bool = False,
    ):
        """Raises ConfigError no_chat_template, tokenizer_not_fast; both only without a named template."""
        options = EncodeOptions(cutoff_len, mask_history=mask_history, train_on_prompt=train_on_prompt)
        segmenter: Segmenter = NamedSegmenter(tokenizer, template, options) if template else AutoSegmenter(tokenizer)
        self._segment = segmenter
        self._stops = frozenset(stop_token_ids(tokenizer, template))
        self._cutoff_len = cutoff_len
        self._train_on_prompt = train_on_prompt
        self._mask_history = mask_history

    def encode_all(
        self,
        samples: Sequence[Sample],
        progress: Callable[[int, int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Encoded:
        """All rows that can be trained on, in order; the report tells of the others.

        `progress(done, total)` and `should_stop()` are called once a chunk. Raises StopRequested.
        """
        report = EncodeReport(cutoff_len=self._cutoff_len)
        input_ids, labels, offsets = array("i"), array("i"), array("q", [0])
        for start in range(0, len(samples), CHUNK):
            if should_stop and should_stop():
                raise StopRequested
            chunk = samples[start : start + CHUNK]
            for sample, result in zip(chunk, self._segments(chunk), strict=True):
                if isinstance(result, Problem):
                    report.drop(result, sample.origin)
                    continue
                self._append(result, sample, report, input_ids, labels)
                offsets.append(len(input_ids))
            if progress:
                progress(start + len(chunk), len(samples))
        report.rows = len(samples)
        report.tokens = len(input_ids)
        arrays = (np.asarray(input_ids, np.int32), np.asarray(labels, np.int32), np.asarray(offsets, np.int64))
        report.labelled_tokens = int((arrays[1] != IGNORE).sum())
        return Encoded(*arrays, report=report)

    def _segments(self, samples: Sequence[Sample]) -> list[Segments | Problem]:
        problems = [_unsuitable(sample.conversation) for sample in samples]
        good = [sample.conversation for sample, problem in zip(samples, problems, strict=True) if problem is None]
        segments = iter(self._segment(good))
        return [problem or next(segments) for problem in problems]

    def _append(
        self, segments: Segments, sample: Sample, report: EncodeReport, input_ids: array[int], labels: array[int]
    ) -> None:
        pairs = segments.pairs
        whole = [(len(source), len(target)) for source, target in pairs]
        kept = truncate(whole, self._cutoff_len, last_first=self._mask_history)
        labelled = False
        for number, ((source, target), (source_len, target_len)) in enumerate(zip(pairs, kept, strict=True), 1):
            input_ids.extend(source[:source_len])
            input_ids.extend(target[:target_len])
            learn = not self._mask_history or number == len(pairs)
            labels.extend(source[:source_len] if self._train_on_prompt else [IGNORE] * source_len)
            labels.extend(target[:target_len] if learn else [IGNORE] * target_len)
            labelled |= (learn and target_len > 0) or (self._train_on_prompt and source_len > 0)
        report.unlabelled_answers += segments.unlabelled
        report.count(whole, kept, end_lost=self._end_lost(pairs, kept))
        if not labelled:
            report.count_masked(sample.origin)

    def _end_lost(self, pairs: list[Pair], kept: list[Lengths]) -> bool:
        """Whether an answer was cut in front of the token that ends it, so that it teaches not to stop."""
        return any(
            0 < length < len(target) and self._stops.isdisjoint(target[:length])
            for (_, target), (_, length) in zip(pairs, kept, strict=True)
        )


def fit(source: int, target: int, room: int) -> Lengths:
    """Tokens of a question and its answer that stay where there is room for `room`; both lose their end.

    LLaMA-Factory's rule, its floating-point rounding included: a short side stays whole, else both shrink alike.
    """
    if target * 2 < room:
        most = room
    elif source * 2 < room:
        most = room - source
    else:
        most = int(room * (target / (source + target)))
    target = min(most, target)
    return min(max(room - target, 0), source), target


def truncate(lengths: Sequence[Lengths], cutoff_len: int, *, last_first: bool = False) -> list[Lengths]:
    """What stays of each (source, target) pair, given in tokens: pairs that find no room are left with (0, 0)."""
    kept = []
    used = 0
    for source, target in reversed(lengths) if last_first else lengths:
        kept.append(fit(source, target, cutoff_len - used) if used < cutoff_len else (0, 0))
        used += sum(kept[-1])
    return kept[::-1] if last_first else kept


def render_prompt(tokenizer: Any, template: Template | None, conversation: Conversation) -> list[int]:
    """Token ids of a conversation that ends with a question, up to and including the header of the answer.

    Raises ConfigError no_chat_template, DataError chat_template_refuses_prompt; both only without a named template.
    """
    if template is None:
        require_chat_template(tokenizer)
        return encode_texts(tokenizer, [render_chat(tokenizer, chat_messages(conversation), ask=True)])[0]
    return [token for turn in encode_turns(tokenizer, template.turns(conversation)) for token in turn]


def _unsuitable(conversation: Conversation) -> Problem | None:
    if conversation.tools or any(turn.role not in ("user", "assistant") for turn in conversation.turns):
        return Problem("tool_calls_not_supported")
    if not conversation.turns or len(conversation.turns) % 2:
        return Problem("row_without_answer")
    return None
