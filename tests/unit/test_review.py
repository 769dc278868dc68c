"""What is told of data before training: figures, findings and samples, from arrays that are written by hand."""

from __future__ import annotations

import json
import statistics

import numpy as np
import pytest

from engine.data.comparing import first_difference
from engine.data.encoded import Encoded, EncodeReport, Prompts
from engine.data.histogram import Lengths
from engine.data.review import Review, embedding_rows, findings, measure, samples_of, whole
from engine.data.sampling import IGNORE, SampleRow, TokenTexts, sample_row
from engine.data.templates import load_template, prepare_tokenizer
from engine.messages import render
from tests.unit.tiny_tokenizer import CHATML, tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer(eos_token="<|im_end|>", pad_token="<|endoftext|>")


def encoded(tokenizer, *rows, packed=None, **report):
    """Rows are (prompt, answer) pairs, one after the other; the answers are learnt. `packed`: samples of each row."""
    ids, labels, offsets = [], [], [0]
    for row in rows:
        for number, text in enumerate(row):
            tokens = tokenizer.encode(text)
            ids += tokens
            labels += tokens if number % 2 else [IGNORE] * len(tokens)
        offsets.append(len(ids))
    labelled = sum(label != IGNORE for label in labels)
    known = {"rows": len(rows), "kept": len(rows), "tokens": len(ids), "labelled_tokens": labelled, **report}
    arrays = [np.asarray(values, kind) for values, kind in ((ids, np.int32), (labels, np.int32), (offsets, np.int64))]
    told = EncodeReport(cutoff_len=known.pop("cutoff_len", 2048), **known)
    if packed is None:
        return Encoded(*arrays, report=told)
    whole = arrays[2][np.cumsum([0, *packed])]
    return Encoded(arrays[0], arrays[1], whole, told, parts=arrays[2])


def measured(tokenizer, data, prompts_learnt=False):
    return measure(data, tokenizer, [tokenizer.eos_token_id], prompts_learnt=prompts_learnt)


def found(tokenizer, data, template=None, vocabulary=None, grows=False):
    part = measured(tokenizer, data)
    ends = [(tokenizer.eos_token_id, "<|im_end|>")]
    problems = findings(part, data, template, ends, vocabulary, grows)
    for problem in problems:
        assert "{" not in render(problem), "a sentence lacks a value"
    return {problem.code: problem for problem in problems}


def test_percentiles_are_lengths_that_occur_and_every_row_is_in_one_bar():
    """Anyone can check them with a sorted list."""
    lengths = [5, 7, 7, 9, 12, 30, 31, 500, 513, 4000]
    told = Lengths.of(np.asarray(lengths, np.int64))
    assert (told.least, told.most) == (5, 4000)
    assert told.median == statistics.median_low(lengths)
    assert told.p90 == 513
    assert told.p99 == 4000
    assert told.over == {512: 2, 1024: 1, 2048: 1}
    assert sum(bar.rows for bar in told.bars) == len(lengths)
    for bar in told.bars:
        assert bar.rows == sum(bar.low <= length <= bar.high for length in lengths)
    assert Lengths.from_dict(json.loads(json.dumps(told.as_dict()))) == told


def test_one_very_long_row_does_not_flatten_the_bars():
    lengths = np.asarray([*range(100, 200), *[150] * 100, 100_000], np.int64)
    told = Lengths.of(lengths)
    assert len([bar for bar in told.bars if bar.rows]) > 5
    assert told.bars[-1].high == 100_000


@pytest.mark.parametrize("lengths", [[1], [1, 1, 1], [2, 3], [0, 4]])
def test_few_and_equal_lengths_have_bars_too(lengths):
    told = Lengths.of(np.asarray(lengths, np.int64))
    assert sum(bar.rows for bar in told.bars) >= len(lengths) - lengths.count(0)


def test_no_rows_have_no_lengths():
    assert Lengths.of(np.asarray([], np.int64)) is None


def test_figures_of_a_part(tokenizer):
    data = encoded(
        tokenizer,
        ("question", "answer<|im_end|>"),
        ("question", "answer"),  # its end was cut off
        ("question", "answer<|im_end|>"),  # again
        ("question", " \n<|im_end|>\n"),  # says nothing
        ("question", "<think>\n\n</think>\n\n<|im_end|>"),  # nothing either
        ("a", "is<|im_end|>", "an", "<|im_end|>"),
    )
    part = measured(tokenizer, data)
    assert (part.rows, part.packed_rows, part.end_rows) == (6, 0, 5)
    assert (part.duplicates, part.times, part.repeated) == (1, 2, "question" + "answer<|im_end|>")
    assert part.empty == 3
    assert part.largest_id == data.input_ids.max()
    assert part.lengths.most == max(np.diff(data.offsets))


def test_packed_samples_are_counted_one_by_one(tokenizer):
    """Two samples in a row are still two, and the second's empty answer is not hidden by the first's."""
    rows = [("", "answer<|im_end|>"), ("", "<|im_end|>"), ("", "answer<|im_end|>")]
    apart, packed = encoded(tokenizer, *rows), encoded(tokenizer, *rows, packed=[2, 1])
    told = measured(tokenizer, packed)
    assert (told.rows, told.packed_rows) == (3, 2)
    for name in ("end_rows", "duplicates", "empty", "lengths"):
        assert getattr(told, name) == getattr(measured(tokenizer, apart), name)
    assert told.empty == 1


def test_empty_answers_are_not_looked_for_where_questions_are_learnt(tokenizer):
    data = encoded(tokenizer, ("", "question<|im_end|><|im_end|>"))
    assert measured(tokenizer, data, prompts_learnt=True).empty is None


def test_fine_data_has_no_findings(tokenizer):
    rows = [("question", f"answer {number}<|im_end|>") for number in range(5)]
    assert found(tokenizer, encoded(tokenizer, *rows), vocabulary=len(tokenizer)) == {}


@pytest.mark.parametrize(
    ("template", "cut", "code"),
    [
        ("empty", 0, "end_mark_not_written"),
        ("empty", 2, "end_mark_not_written"),  # a larger cutoff_len would not help
        (None, 0, "end_mark_masked"),
        (None, 2, "end_mark_cut"),
        ("alpaca", 2, "end_mark_cut"),  # ends with the end-of-text token
        ("chatml", 2, "end_mark_cut"),  # ends with a text
        ("llama2", 2, "end_mark_cut"),
        ("mistral", 2, "end_mark_cut"),
    ],
)
def test_data_that_never_teaches_to_stop_is_an_error_that_says_why(tokenizer, template, cut, code):
    data = encoded(tokenizer, ("question", "answer"), ("an", "answer"), answers_cut=cut, longest_whole=90, cutoff_len=8)
    problems = found(tokenizer, data, load_template(template))
    assert list(problems) == [code]
    assert problems[code].severity == "error"


def test_nothing_to_learn_is_an_error_and_says_nothing_of_end_marks(tokenizer):
    assert list(found(tokenizer, encoded(tokenizer, ("question",)))) == ["all_labels_masked"]


def test_tokens_that_the_model_has_no_row_for(tokenizer):
    """Without room for them the first step would crash; resize_vocab makes room."""
    data = encoded(tokenizer, ("question", "answer<|im_end|>"))
    largest = int(data.input_ids.max())
    assert found(tokenizer, data, vocabulary=largest + 1) == {}
    assert found(tokenizer, data, vocabulary=largest)["ids_beyond_embedding"].params["largest"] == largest
    assert found(tokenizer, data, vocabulary=largest, grows=True) == {}


def test_mostly_repeated_rows_and_empty_answers_are_warnings(tokenizer):
    rows = [("question", "<|im_end|>")] * 4 + [("an", "answer<|im_end|>")] * 2
    problems = found(tokenizer, encoded(tokenizer, *rows))
    assert {code: problem.severity for code, problem in problems.items()} == {
        "rows_repeated": "warning",
        "answers_empty": "warning",
    }
    assert problems["rows_repeated"].params["duplicates"] == 4


def test_half_repeated_rows_are_no_warning(tokenizer):
    rows = [("question", "answer<|im_end|>")] * 2 + [("an", "answer<|im_end|>")] * 2
    assert found(tokenizer, encoded(tokenizer, *rows)) == {}


def test_a_sample_shows_every_token_with_what_is_learnt(tokenizer):
    data = encoded(tokenizer, ("user question", "an answer<|im_end|>"))
    (sample,) = samples_of(data, tokenizer)
    read, learnt = sample.stretches
    assert (read.learnt, learnt.learnt) == (False, True)
    assert "".join(text for _, text in read.head) == "user question"
    assert "".join(text for _, text in learnt.head) == "an answer<|im_end|>"
    assert [token for ids, _ in (*read.head, *learnt.head) for token in ids] == data.input_ids.tolist()
    assert (sample.number, sample.tokens) == (1, len(data.input_ids))
    assert SampleRow.from_dict(json.loads(json.dumps(sample.as_dict()))) == sample


def test_long_stretches_and_rows_are_cut_in_the_middle_with_counts(tokenizer):
    ids = np.arange(10, 210, dtype=np.int32)
    sample = sample_row(3, 9, ids, ids, TokenTexts(tokenizer))
    (stretch,) = sample.stretches
    assert sum(len(ids) for ids, _ in (*stretch.head, *stretch.tail)) + stretch.left_out == 200
    assert (stretch.head[0][0], stretch.tail[-1][0][-1]) == ((10,), 209)
    striped = np.where(np.arange(200) % 2, ids, IGNORE).astype(np.int32)
    sample = sample_row(3, 9, ids, striped, TokenTexts(tokenizer))
    assert len(sample.stretches) + sample.left_out == 200
    assert sample.stretches[sample.left_out_after - 1].head[0][0] == (9 + sample.left_out_after,)
    assert sample.labelled == 100


def test_tokens_that_are_parts_of_a_character_show_their_bytes(tokenizer):
    """Two bytes are é together; one that was cut off is shown as what it is."""
    ids = tokenizer.encode("né", add_special_tokens=False)
    texts = TokenTexts(tokenizer)
    assert len(ids) == 3
    assert texts.pieces(ids) == ((tuple(ids[:1]), "n"), (tuple(ids[1:]), "é"))
    assert texts.pieces(ids[:2]) == ((tuple(ids[:1]), "n"), (tuple(ids[1:2]), "0xc3"))
    assert texts(99_999) == "<no token 99999>"


def test_the_first_difference_from_the_models_own_template(tokenizer):
    """chatml writes what the tiny model's own template writes; alpaca parts from it at the first character."""
    assert first_difference(tokenizer, load_template("chatml"), CHATML) is None
    own = CHATML.replace("'<|im_end|>\\n'", "'<|im_end|>'")
    told = first_difference(tokenizer, load_template("chatml"), own)
    assert told.at == len("<|im_start|>user\nWhere is Oslo?<|im_end|>")
    assert told.named.startswith(told.own[: told.own.index("<|im_end|>") + len("<|im_end|>")])
    assert tokenizer.chat_template == CHATML


def test_a_model_template_that_refuses_everything_is_no_difference(tokenizer):
    assert first_difference(tokenizer, load_template("chatml"), "{{ raise_exception('no') }}") is None


def test_the_rows_of_an_embedding(tmp_path):
    for body, rows in (({"vocab_size": 7}, 7), ({"text_config": {"vocab_size": 9}}, 9), ({}, None)):
        (tmp_path / "config.json").write_text(json.dumps(body))
        assert embedding_rows(tmp_path) == rows


def test_a_review_survives_json(tokenizer):
    data = encoded(tokenizer, ("question", "answer<|im_end|>"))
    own = first_difference(tokenizer, load_template("alpaca"), CHATML)
    problems = [*found(tokenizer, encoded(tokenizer, ("question", "answer")), load_template("alpaca")).values()]
    review = Review(
        template="alpaca",
        cutoff_len=16,
        own_template=True,
        difference=own,
        ends=((2, "<|im_end|>"),),
        vocabulary=320,
        sets=[{"name": "d", "read": 1}],
        parts={"train": measured(tokenizer, data)},
        samples=samples_of(data, tokenizer),
        problems=problems,
    )
    assert review.ruined
    assert Review.from_dict(json.loads(json.dumps(review.as_dict()))) == review


def test_a_hundred_thousand_rows_take_no_time(tokenizer):
    """It is paid before every training: generous limits for a busy machine."""
    import time

    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 120, 100_000)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = rng.integers(5, 300, offsets[-1]).astype(np.int32)
    ids[offsets[1:] - 1] = tokenizer.eos_token_id
    labels = ids.copy()
    labels[offsets[:-1]] = IGNORE
    data = Encoded(ids, labels, offsets, EncodeReport(cutoff_len=2048, rows=100_000, kept=100_000))
    start = time.process_time()
    part = measured(tokenizer, data)
    assert time.process_time() - start < 5
    assert (part.end_rows, part.duplicates, part.empty) == (100_000, 0, 0)


def test_the_tokenizer_of_the_model_is_left_as_it_was(tokenizer):
    prepare_tokenizer(tokenizer, load_template("alpaca"))
    first_difference(tokenizer, load_template("alpaca"), "other")
    assert tokenizer.chat_template == CHATML


def test_questions_to_answer_are_told_of_with_their_expected_answers(tokenizer):
    """predict_with_generate keeps prompt and answer apart; here they are one row again."""
    data = encoded(tokenizer, ("question", "answer<|im_end|>"), ("user", "an answer<|im_end|>"))
    read = data.labels == IGNORE
    lengths = [int((~read[data.offsets[i] : data.offsets[i + 1]]).sum()) for i in range(2)]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    prompts = Prompts(data.input_ids[read], data.offsets - ends, data.input_ids[~read], ends, data.report)
    again = whole(prompts)
    for name in ("input_ids", "labels", "offsets"):
        assert getattr(again, name).tolist() == getattr(data, name).tolist()
