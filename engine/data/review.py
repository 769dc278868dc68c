"""What the model will see of prepared data, in figures, and what of it would ruin a run or should be known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.data.comparing import Difference, first_difference
from engine.data.encoded import Encoded, Prompts, check_encoded, where
from engine.data.histogram import MARKS, Lengths
from engine.data.sampling import IGNORE, SampleRow, TokenTexts, sample_row
from engine.data.template_slots import Special, Template
from engine.data.templates import AUTO
from engine.errors import DataError, Problem
from engine.text import one_line

SHORT = 64  # tokens: an answer of more is not empty
EXCERPT = 60  # characters of a row that is told of
PROBES = 8  # tokens of a row that are looked at before rows are compared whole
MANY = 0.5  # share of duplicates worth a warning


@dataclass(frozen=True, slots=True)
class Part:
    """The rows that are trained on, or one set that is measured on.

    `rows` are samples, `packed_rows` what they were packed into (0: not packed). `end_rows`: samples with a label on a
    token that ends an answer. `duplicates`: samples that repeat an earlier one, token by token; `repeated` is the
    text of the most frequent, `times` how often it stands there. `empty`: answers of nothing but end marks
    and white space; None where questions are learnt too and cannot be told from answers.
    """

    rows: int
    packed_rows: int
    tokens: int
    labelled: int
    truncated: int
    tokens_cut: int
    answers_cut: int
    end_marks_lost: int
    masked: int
    masked_first: tuple[str, ...]
    end_rows: int
    duplicates: int
    times: int
    repeated: str
    empty: int | None
    largest_id: int
    lengths: Lengths | None


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that `data check` tells. `sets`: what became of each dataset's rows, as `Tally.as_dict`.

    `ends`: (id, text) of the tokens that end an answer. `vocabulary`: rows of the model's embedding, where known.
    `difference`: from the model's own chat template, None where there is none or `template` is auto. `problems`: errors
    would ruin the run.
    """

    template: str
    cutoff_len: int
    own_template: bool
    difference: Difference | None
    ends: tuple[tuple[int, str], ...]
    vocabulary: int | None
    sets: list[dict[str, Any]] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    samples: list[SampleRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    from_cache: bool = False

    @property
    def ruined(self) -> bool:
        """Whether a run would be stopped before its first step."""
        return any(problem.severity == "error" for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        raw = asdict(self)
        raw["parts"] = {
            name: asdict(part) | {"lengths": part.lengths and part.lengths.as_dict()}
            for name, part in self.parts.items()
        }
        return raw | {"problems": [problem.as_dict() for problem in self.problems]}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Review:
        """Inverse of `as_dict`."""
        made = {
            "difference": Difference(**raw["difference"]) if raw["difference"] else None,
            "ends": tuple((int(token), str(text)) for token, text in raw["ends"]),
            "parts": {name: _part_of(part) for name, part in raw["parts"].items()},
            "samples": [SampleRow.from_dict(sample) for sample in raw["samples"]],
            "problems": [Problem.from_dict(problem) for problem in raw["problems"]],
        }
        return cls(**{**raw, **made})


def measure(encoded: Encoded, tokenizer: Any, stop_ids: Sequence[int], *, prompts_learnt: bool) -> Part:
    """The figures of one part. Fractions of a second for 100,000 rows."""
    report = encoded.report
    bounds = encoded.offsets if encoded.parts is None else encoded.parts
    duplicates, times, repeated = _duplicates(encoded.input_ids, bounds)
    return Part(
        rows=len(bounds) - 1,
        packed_rows=0 if encoded.parts is None else len(encoded),
        tokens=len(encoded.input_ids),
        labelled=int((encoded.labels != IGNORE).sum()),
        truncated=report.truncated,
        tokens_cut=report.tokens_cut,
        answers_cut=report.answers_cut,
        end_marks_lost=report.end_marks_lost,
        masked=report.fully_masked,
        masked_first=tuple(where(place) for place in report.fully_masked_first),
        end_rows=_rows_with(np.isin(encoded.labels, np.asarray(stop_ids, np.int32)), bounds),
        duplicates=duplicates,
        times=times,
        repeated="" if repeated is None else one_line(tokenizer.decode(repeated.tolist()), EXCERPT),
        empty=None if prompts_learnt else _empty_answers(encoded.labels, bounds, tokenizer, stop_ids),
        largest_id=int(encoded.input_ids.max(initial=-1)),
        lengths=Lengths.of(np.diff(bounds), tuple(mark for mark in MARKS if mark < report.cutoff_len)),
    )


def findings(
    part: Part,
    encoded: Encoded,
    template: Template | None,
    ends: Sequence[tuple[int, str]],
    vocabulary: int | None,
    grows: bool,
) -> list[Problem]:
    """What would ruin training on `part` (errors) and what else its figures say (warnings).

    `grows`: the model's embedding follows the tokenizer.
    """
    found: list[Problem] = []
    try:
        check_encoded(encoded)
    except DataError as error:
        found += error.problems
    if part.labelled and not part.end_rows:
        found.append(_no_end(part, encoded, template, ends))
    if vocabulary is not None and part.largest_id >= vocabulary and not grows:
        params = {"largest": part.largest_id, "last": vocabulary - 1}
        found.append(Problem("ids_beyond_embedding", params, key="resize_vocab"))
    if part.duplicates > MANY * part.rows:
        params = {name: getattr(part, name) for name in ("duplicates", "rows", "times", "repeated")}
        found.append(Problem("rows_repeated", params, severity="warning"))
    if part.empty:
        found.append(Problem("answers_empty", {"answers": part.empty, "rows": part.rows}, severity="warning"))
    return found


def whole(prompts: Prompts) -> Encoded:
    """Questions to answer as rows: the prompt, and the expected answer as what is learnt."""
    rows = [prompts.row(index) for index in range(len(prompts))]
    masks = [(np.full_like(prompt, IGNORE), answer) for prompt, answer in rows]
    nothing = np.empty(0, np.int32)
    ids, labels = (np.concatenate([nothing, *(part for row in kind for part in row)]) for kind in (rows, masks))
    return Encoded(ids, labels, prompts.offsets + prompts.label_offsets, prompts.report)


def differs(template: Template | None, tokenizer: Any, chat_template: str | None) -> Difference | None:
    """Where the named template parts from the model's own; None for auto and where the model has none."""
    return first_difference(tokenizer, template, chat_template) if template and chat_template else None


def difference_warning(template: str, difference: Difference) -> Problem:
    """The difference as a warning."""
    params = {"template": template, "named": one_line(repr(difference.named)), "own": one_line(repr(difference.own))}
    return Problem("template_differs", params, key="template", severity="warning")


def samples_of(encoded: Encoded, tokenizer: Any) -> list[SampleRow]:
    """Two of the samples, the first and one from the middle, token by token."""
    bounds = encoded.offsets if encoded.parts is None else encoded.parts
    rows = len(bounds) - 1
    texts = TokenTexts(tokenizer)
    shown = []
    for index in dict.fromkeys((0, rows // 2)):
        if index < rows:
            span = slice(bounds[index], bounds[index + 1])
            shown.append(sample_row(index + 1, rows, encoded.input_ids[span], encoded.labels[span], texts))
    return shown


def embedding_rows(model: Path) -> int | None:
    """`vocab_size` of a model folder's config.json; None where it says nothing."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    for part in (config, config.get("text_config")):
        if isinstance(part, dict) and isinstance(part.get("vocab_size"), int):
            return int(part["vocab_size"])
    return None


def _no_end(part: Part, encoded: Encoded, template: Template | None, ends: Sequence[tuple[int, str]]) -> Problem:
    """Why no end mark is learnt: it was cut off, the template writes none, or the chat template hides it."""
    params: dict[str, Any] = {"rows": part.rows, "marks": [text for _, text in ends]}
    if part.answers_cut >= part.rows and (template is None or _writes_end(template, ends)):
        params |= {"cutoff_len": encoded.report.cutoff_len, "longest": encoded.report.longest_whole}
        return Problem("end_mark_cut", params, key="cutoff_len")
    if template is None:
        return Problem("end_mark_masked", params, key="template")
    return Problem("end_mark_not_written", params | {"template": template.name}, key="template")


def _writes_end(template: Template, ends: Sequence[tuple[int, str]]) -> bool:
    """Whether an answer ends with a token that stops the model."""
    texts = [element for element in template.assistant if isinstance(element, str)]
    written = any(mark in text for text in texts for _, mark in ends)
    return template.efficient_eos or Special.EOS in template.assistant or written


def _rows_with(marked: npt.NDArray[np.bool_], bounds: npt.NDArray[np.int64]) -> int:
    """Rows in which anything is marked; `marked` [tokens]."""
    return len(np.unique(np.searchsorted(bounds, np.flatnonzero(marked), side="right")))


def _duplicates(
    ids: npt.NDArray[np.int32], bounds: npt.NDArray[np.int64]
) -> tuple[int, int, npt.NDArray[np.int32] | None]:
    """(rows that repeat an earlier one, how often the most frequent stands there, its ids)."""
    starts, lengths = bounds[:-1], np.diff(bounds)
    filled = np.flatnonzero(lengths)
    # Rows whose length and a few tokens occur once are no duplicates: only the others are compared whole.
    keys = lengths[filled].astype(np.uint64)
    for part in range(1, PROBES + 1):
        keys = keys * np.uint64(1_000_003) + ids[starts[filled] + lengths[filled] * part // (PROBES + 1)].astype(
            np.uint64
        )
    _, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
    alike = [ids[bounds[row] : bounds[row + 1]] for row in filled[counts[place] > 1].tolist()]
    hashes = [hash(row.tobytes()) for row in alike]
    if not hashes:
        return 0, min(len(lengths), 1), None
    found = Counter(hashes)
    most, times = found.most_common(1)[0]
    if times == 1:
        return 0, 1, None
    return len(hashes) - len(found), times, alike[hashes.index(most)]


def _empty_answers(
    labels: npt.NDArray[np.int32], bounds: npt.NDArray[np.int64], tokenizer: Any, stop_ids: Sequence[int]
) -> int:
    """Learnt stretches that hold end marks and white space only. A stretch ends with its row."""
    learnt = labels != IGNORE
    first = learnt.copy()
    first[1:] &= ~learnt[:-1]
    starts = bounds[:-1][bounds[:-1] < bounds[1:]]
    first[starts] = learnt[starts]
    texts, stop = TokenTexts(tokenizer), set(stop_ids)
    begins = np.flatnonzero(first)
    blank = [token for token in np.unique(labels[begins]).tolist() if token in stop or _may_be_empty(texts(token))]
    empty = 0
    for begin in begins[np.isin(labels[begins], np.asarray(blank, np.int32))].tolist():
        row_end = int(bounds[np.searchsorted(bounds, begin, side="right")])
        stretch = labels[begin : min(row_end, begin + SHORT)].tolist()
        stretch = stretch[: stretch.index(IGNORE)] if IGNORE in stretch else stretch
        rest = [token for token in stretch if token not in stop]
        empty += len(rest) < len(stretch) and not _without_thoughts("".join(map(texts, rest)))
    return empty


def _may_be_empty(text: str) -> bool:
    """Whether an answer that begins with this token can still say nothing."""
    return not text.strip() or text.lstrip().startswith("<")


def _without_thoughts(text: str) -> str:
    """An answer without the empty thoughts that reasoning templates put in front of it."""
    return text.replace("<think>", "").replace("</think>", "").strip()


def _part_of(raw: dict[str, Any]) -> Part:
    lengths = Lengths.from_dict(raw["lengths"]) if raw["lengths"] else None
    return Part(**{**raw, "lengths": lengths, "masked_first": tuple(raw["masked_first"])})


def name_of(template: Template | None) -> str:
    """The template's name in a config."""
    return template.name if template else AUTO
