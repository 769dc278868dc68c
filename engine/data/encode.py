"""Samples to token ids and labels, with LLaMA-Factory's truncation, and what became of every row."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from engine.data.conversation import Conversation, Sample
from engine.data.encoded import Encoded, EncodeReport, Prompts
from engine.data.options import EncodeOptions
from engine.data.packs import pack, windows
from engine.data.segments import (
    AutoSegmenter,
    NamedSegmenter,
    Segmenter,
    Segments,
    chat_messages,
    render_chat,
    require_chat_template,
)
from engine.data.templates import Template, encode_texts, encode_turns, prompt_turns, stop_token_ids
from engine.data.token_ids import remember_words
from engine.errors import ConfigError, Problem, StopRequested

IGNORE = -100
_IGNORED = array("i", [IGNORE])
CHUNK = 1000  # rows tokenised by one call: a fraction of a second, so that a stop is heard soon

Lengths = tuple[int, int]
Progress = Callable[[int, int], None]


class Encoder:
    """Encodes samples with a named template, or with the tokenizer's own chat template where `template` is None.

    The tokenizer must have passed `prepare_tokenizer`. The options mean what their keys mean in LLaMA-Factory; an
    answer's own flag (`Turn.learn`) comes before mask_history.
    """

    def __init__(self, tokenizer: Any, template: Template | None, options: EncodeOptions):
        """Raises ConfigError: no_chat_template, tokenizer_not_fast (both only without a named template),

        template_without_train_on_prompt.
        """
        self._tokenizer, self._template, self._options = tokenizer, template, options
        self._segment = self._segmenter(options)
        self._stops = frozenset(stop_token_ids(tokenizer, template))
        # Where a template's answers carry no end mark: what follows them is labelled with the end of text instead.
        self._eos: list[int] = []
        if template is not None and template.efficient_eos:
            self._eos = [tokenizer.eos_token_id]
            if options.train_on_prompt:
                params = {"template": template.name}
                raise ConfigError(Problem("template_without_train_on_prompt", params, key="train_on_prompt"))

    def encode_all(
        self,
        samples: Sequence[Sample],
        progress: Progress | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Encoded:
        """All rows that can be trained on, in order, or packed; the report tells of the others.

        `progress(done, total)` and `should_stop()` are called once a chunk. Raises StopRequested.
        """
        remember_words(self._tokenizer)
        report = EncodeReport(cutoff_len=self._options.cutoff_len)
        input_ids, labels, offsets, places = array("i"), array("i"), array("q", [0]), array("q")
        for place, sample, segments in self._walk(samples, self._segment, report, progress, should_stop):
            if self._append(segments, sample, report, input_ids, labels):
                offsets.append(len(input_ids))
                places.append(place)
        report.tokens = len(input_ids)
        arrays = (np.asarray(input_ids, np.int32), np.asarray(labels, np.int32), np.asarray(offsets, np.int64))
        report.labelled_tokens = int((arrays[1] != IGNORE).sum())
        encoded = Encoded(*arrays, report=report)
        return self._pack(encoded, np.asarray(places, np.int64), len(samples)) if self._options.packing else encoded

    def encode_prompts(
        self,
        samples: Sequence[Sample],
        progress: Progress | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Prompts:
        """Every row as everything up to its last answer, and that answer; for writing answers and comparing them.

        The whole prompt counts as one question in truncation. Raises StopRequested.
        """
        report = EncodeReport(cutoff_len=self._options.cutoff_len)
        prompts, answers = array("i"), array("i")
        prompt_offsets, answer_offsets = array("q", [0]), array("q", [0])
        for _, _, segments in self._walk(samples, self._segment.prompts, report, progress, should_stop):
            ((source, target),) = segments.pairs
            target = target + self._eos
            whole = (len(source), len(target))
            kept = fit(*whole, self._options.limit)
            prompts.fromlist(source[: kept[0]])
            answers.fromlist(target[: kept[1]])
            prompt_offsets.append(len(prompts))
            answer_offsets.append(len(answers))
            report.count([whole], [kept], end_lost=self._end_lost([(source, target)], [kept]))
        report.tokens = len(prompts)
        report.labelled_tokens = len(answers)
        return Prompts(
            np.asarray(prompts, np.int32),
            np.asarray(prompt_offsets, np.int64),
            np.asarray(answers, np.int32),
            np.asarray(answer_offsets, np.int64),
            report,
        )

    def _segmenter(self, options: EncodeOptions) -> Segmenter:
        if self._template is None:
            return AutoSegmenter(self._tokenizer, options)
        return NamedSegmenter(self._tokenizer, self._template, options)

    def _walk(
        self,
        samples: Sequence[Sample],
        segment: Callable[[Sequence[Conversation]], list[Segments | Problem]],
        report: EncodeReport,
        progress: Progress | None,
        should_stop: Callable[[], bool] | None,
    ) -> Iterator[tuple[int, Sample, Segments]]:
        """(place, sample, segments) of every sample that can be rendered; the report takes the others."""
        report.rows = len(samples)
        starts = range(0, len(samples), CHUNK)

        def work(start: int) -> list[Segments | Problem]:
            chunk = [sample.conversation for sample in samples[start : start + CHUNK]]
            problems = [_unsuitable(talk) for talk in chunk]
            good = [talk for talk, problem in zip(chunk, problems, strict=True) if problem is None]
            segments = iter(segment(good))
            return [problem or next(segments) for problem in problems]

        # The tokenizer in Rust works on the next chunk while this one's tokens are put together in Python.
        with ThreadPoolExecutor(1, "tokenising") as ahead:
            coming = [ahead.submit(work, start) for start in starts[:1]]
            for number, start in enumerate(starts):
                if should_stop and should_stop():
                    raise StopRequested
                results = coming.pop().result()
                coming += [ahead.submit(work, later) for later in starts[number + 1 : number + 2]]
                for place, result in enumerate(results, start):
                    if isinstance(result, Problem):
                        report.drop(result, samples[place].origin)
                    else:
                        yield place, samples[place], result
                if progress:
                    progress(min(start + CHUNK, len(samples)), len(samples))

    def _append(
        self, segments: Segments, sample: Sample, report: EncodeReport, input_ids: array[int], labels: array[int]
    ) -> bool:
        """Add a row; False where it is left out for its length."""
        options, eos = self._options, self._eos
        pairs = segments.pairs
        whole = [(len(source), len(target)) for source, target in pairs]
        long = sum(source + target for source, target in whole) + len(eos) > options.limit
        if options.drop_long and long:
            report.drop(Problem("sample_too_long", {"cutoff_len": options.cutoff_len}), sample.origin)
            return False
        kept = truncate(whole, options.limit - len(eos), last_first=options.mask_history) if long else whole
        learns, flags = self._learns(segments, sample.conversation)
        labelled = False
        before: bool | None = None  # the flag of the answer before: its end is labelled in what follows it
        # LLaMA-Factory takes the pairs last one first under mask_history, and marks the end in all but the one it takes
        # first.
        unmarked = len(pairs) - 1 if options.mask_history else 0
        for number, ((source, target), (source_len, target_len)) in enumerate(zip(pairs, kept, strict=True)):
            input_ids.fromlist(source[:source_len])
            between = len(input_ids)
            input_ids.fromlist(target[:target_len])
            mark = bool(eos and source_len and before is not False and (number != unmarked or before))
            if options.train_on_prompt:
                labels.fromlist(source[:source_len])
            else:
                labels.extend(eos if mark else _IGNORED * min(source_len, 1))
                labels.extend(_IGNORED * (source_len - 1))
            # Slices of arrays are copied as bytes, lists number by number.
            labels.extend(input_ids[between:] if learns[number] else _IGNORED * target_len)
            labelled |= mark or (learns[number] and target_len > 0) or (options.train_on_prompt and source_len > 0)
            before = flags[number]
        if eos:
            input_ids.extend(eos)
            labels.extend(eos if before is not False else [IGNORE])
            labelled |= before is not False
        report.unlabelled_answers += segments.unlabelled
        report.unlearned_answers += flags.count(False)
        report.count(whole, kept, extra=len(eos), end_lost=long and not eos and self._end_lost(pairs, kept))
        if not labelled:
            report.count_masked(sample.origin)
        return True

    def _learns(self, segments: Segments, conversation: Conversation) -> tuple[list[bool], list[bool | None]]:
        """Whether the answer of each pair is learnt, and what its own flag says."""
        answers = conversation.turns[1::2]
        places = range(len(segments.pairs)) if segments.answers is None else segments.answers
        flags = [answers[place].learn for place in places]
        last = len(answers) - 1
        learns = [
            flag if flag is not None else not self._options.mask_history or place == last
            for place, flag in zip(places, flags, strict=True)
        ]
        rest = len(segments.pairs) - len(flags)  # what stands behind the last answer that was found
        return learns + [False] * rest, flags + [None] * rest

    def _pack(self, encoded: Encoded, places: Any, samples: int) -> Encoded:
        """`places` are those of the rows among the samples: the dropped ones count in LLaMA-Factory's groups."""
        options = self._options
        short = np.diff(encoded.offsets) <= options.limit
        bounds = [np.searchsorted(places, span) for span in windows(samples, options.batch_size, options.shards)]
        groups = [np.arange(first, end)[short[first:end]] for first, end in bounds]
        return pack(encoded, groups, options.limit, neat=options.neat_packing)

    def _end_lost(self, pairs: Sequence[tuple[list[int], list[int]]], kept: Sequence[Lengths]) -> bool:
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


def render_prompt(
    tokenizer: Any, template: Template | None, conversation: Conversation, options: EncodeOptions | None = None
) -> list[int]:
    """Token ids of a conversation that ends with a question, up to and including the header of the answer.

    Of the options only those that concern thoughts count. Raises ConfigError no_chat_template, DataError
    chat_template_refuses_prompt; both only without a named template.
    """
    if template is None:
        require_chat_template(tokenizer)
        thinking = options.enable_thinking if options else None
        text = render_chat(tokenizer, chat_messages(conversation), ask=True, enable_thinking=thinking)
        return encode_texts(tokenizer, [text])[0]
    turns = prompt_turns(template, conversation, options or EncodeOptions(cutoff_len=0))
    return [token for turn in encode_turns(tokenizer, turns) for token in turn]


def _unsuitable(conversation: Conversation) -> Problem | None:
    if not conversation.turns or len(conversation.turns) % 2:
        return Problem("row_without_answer")
    return None
