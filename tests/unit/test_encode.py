from __future__ import annotations

import numpy as np
import pytest

from engine.data.conversation import Conversation, Origin, Sample, Turn
from engine.data.encode import CHUNK, IGNORE, Encoder, render_prompt, truncate
from engine.data.encoded import EncodeReport, check_encoded
from engine.data.options import EncodeOptions
from engine.data.templates import load_template, prepare_tokenizer
from engine.errors import ConfigError, DataError, StopRequested
from tests.unit.tiny_tokenizer import CHATML, MARKS, tiny_tokenizer

# Drops the reasoning of every answer but the last, as reasoning models' templates do.
REWRITES = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{{ message['content'] if loop.last else message['content'].split('</think>')[-1] }}{{ '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system here') }}{% endif %}" + CHATML


def talk(*contents, system="", tools=""):
    roles = ("user", "assistant")
    turns = tuple(Turn(roles[number % 2], content) for number, content in enumerate(contents))
    return Conversation(turns, system, tools)


def samples(*talks):
    return [Sample(one, Origin("data.json", 10 + number, number)) for number, one in enumerate(talks)]


def encoder(template, cutoff_len=2048, **options):
    tokenizer = tiny_tokenizer(eos_token="<|im_end|>", **options)
    prepare_tokenizer(tokenizer, load_template(template))
    return tokenizer, Encoder(tokenizer, load_template(template), EncodeOptions(cutoff_len))


def answers(tokenizer, ids, labels):
    """The texts of the labelled stretches."""
    stretches, previous = [], False
    for token, label in zip(ids.tolist(), labels.tolist(), strict=True):
        if label != IGNORE:
            assert label == token
            if not previous:
                stretches.append([])
            stretches[-1].append(token)
        previous = label != IGNORE
    return [tokenizer.decode(stretch) for stretch in stretches]


def codes(error):
    return [problem.code for problem in error.value.problems]


# Lengths before and after, by LLaMA-Factory 0.9.5's own processor.
@pytest.mark.parametrize(
    ("lengths", "cutoff", "kept"),
    [
        ([(300, 20)], 100, [(80, 20)]),
        ([(20, 300)], 100, [(20, 80)]),
        ([(300, 200)], 100, [(60, 40)]),
        ([(30, 50), (40, 60)], 120, [(30, 50), (16, 24)]),
        ([(60, 50), (10, 10), (5, 5)], 100, [(55, 45), (0, 0), (0, 0)]),
        ([(95, 4), (40, 60)], 100, [(95, 4), (1, 0)]),
    ],
)
def test_truncation(lengths, cutoff, kept):
    assert truncate(lengths, cutoff) == kept


def test_truncation_spares_the_last_turn_where_only_it_is_trained_on():
    assert truncate([(30, 50), (40, 60)], 120, last_first=True) == [(8, 12), (40, 60)]


@pytest.mark.parametrize("template", ["chatml", "auto"])
def test_labels_cover_answers_with_their_end_mark_and_newline(template):
    tokenizer, encode = encoder(template)
    encoded = encode.encode_all(samples(talk("question", "an answer", "and?", "there", system="be brief")))

    assert tokenizer.decode(encoded.input_ids) == (
        "<|im_start|>system\nbe brief<|im_end|>\n"
        "<|im_start|>user\nquestion<|im_end|>\n<|im_start|>assistant\nan answer<|im_end|>\n"
        "<|im_start|>user\nand?<|im_end|>\n<|im_start|>assistant\nthere<|im_end|>\n"
    )
    assert answers(tokenizer, *encoded.row(0)) == ["an answer<|im_end|>\n", "there<|im_end|>\n"]


@pytest.mark.parametrize("trim_offsets", [True, False])
def test_auto_and_chatml_agree_whatever_the_tokenizer_does_to_offsets(trim_offsets):
    rows = samples(talk("a\n\n", " an answer \n", "x", "ÿ€🙂"), talk("q", ""))
    _, auto = encoder("auto", trim_offsets=trim_offsets)
    _, named = encoder("chatml", trim_offsets=trim_offsets)
    ours, theirs = auto.encode_all(rows), named.encode_all(rows)
    assert ours.input_ids.tolist() == theirs.input_ids.tolist()
    assert ours.labels.tolist() == theirs.labels.tolist()


def test_token_across_the_border_belongs_to_the_question():
    # The header ends with a letter that merges into the answer: such a token was no choice of the model's.
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %} ans{% endif %}"
    template = template.replace("{{ m", "{% if m['role'] == 'assistant' %} ans{% endif %}{{ m")
    tokenizer, encode = encoder("auto", chat_template=template)
    encoded = encode.encode_all(samples(talk("there", "wer there")))
    pieces = [tokenizer.decode([token]) for token in encoded.input_ids]
    assert " answer" in pieces  # else this test shows nothing
    assert answers(tokenizer, *encoded.row(0)) == [" there"]


def test_answers_that_the_template_rewrites_are_left_out_and_counted():
    tokenizer, encode = encoder("auto", chat_template=REWRITES)
    first, second = "<think>hm</think>one", "<think>so</think>two"
    encoded = encode.encode_all(samples(talk("1?", first, "2?", second), talk("1?", "one", "2?", second)))

    assert answers(tokenizer, *encoded.row(0)) == [second + "<|im_end|>\n"]
    assert answers(tokenizer, *encoded.row(1)) == ["one<|im_end|>\n", second + "<|im_end|>\n"]
    assert encoded.report.unlabelled_answers == 1
    assert [problem.code for problem in encoded.report.warnings()] == ["answers_rewritten"]


def test_rows_that_the_template_refuses_are_dropped_with_its_reason():
    _, encode = encoder("auto", chat_template=NO_SYSTEM)
    encoded = encode.encode_all(samples(talk("q", "a", system="s"), talk("q", "a"), talk("q", "a", system="t")))
    (problem,) = encoded.report.problems
    assert len(encoded) == encoded.report.kept == 1
    assert problem.code == "chat_template_refused"
    assert problem.params == {"reason": "No system here", "rows": 2, "first": ["data.json:10", "data.json:12"]}


def test_rows_that_cannot_be_trained_on_are_dropped_and_counted():
    _, encode = encoder("qwen")
    call = Conversation((Turn("user", "q"), Turn("function", "{}")))
    talks = [talk("q", "a", tools="{}"), call, talk("q", "a"), talk("q"), talk(), talk("q", "a", "q")]
    encoded = encode.encode_all(samples(*talks, *[call] * 4))
    tools, unanswered = encoded.report.problems
    assert (encoded.report.rows, encoded.report.kept, len(encoded)) == (10, 1, 1)
    assert (tools.code, tools.params["rows"], tools.severity) == ("tools_unreadable", 6, "warning")
    assert tools.params["first"] == ["data.json:10", "data.json:11", "data.json:16"]
    assert (unanswered.code, unanswered.params["rows"]) == ("row_without_answer", 3)


def test_report_counts_what_truncation_took():
    # "default" writes, in tokens of one byte: "Human: " + question + end, "\nAssistant:" | answer + end + "\n".
    tokenizer, _ = encoder("default")
    header = len(render_prompt(tokenizer, load_template("default"), talk("")))
    long, short = "7" * 60, "7" * 4
    rows = samples(talk(short, short), talk(short, long), talk(short, long, short, short), talk(long, short))
    encoded = Encoder(tokenizer, load_template("default"), EncodeOptions(header + 44)).encode_all(rows)

    report = encoded.report
    assert encoded.offsets.tolist() == np.cumsum([0, header + 10, *[header + 44] * 3]).tolist()
    assert (report.rows, report.kept, report.truncated, report.fully_masked) == (4, 4, 3, 0)
    # Rows 2 and 3 keep 40 of 62 tokens of the long answer; row 3 loses its second exchange; row 4 loses question.
    assert report.tokens_cut == 22 + (22 + header + 10) + (60 + 6 - 44)
    assert (report.answers_cut, report.end_marks_lost) == (2, 2)
    assert (report.longest, report.longest_whole) == (header + 44, 2 * header + 76)
    assert report.shortest_whole == header + 10
    assert report.tokens == len(encoded.input_ids) == len(encoded.labels)
    assert report.labelled_tokens == 6 + 40 + 40 + 6
    assert [problem.code for problem in report.warnings()] == ["rows_truncated"]


def test_end_mark_counts_as_kept_when_only_the_newline_behind_it_is_cut():
    tokenizer, encode = encoder("chatml")
    whole = encode.encode_all(samples(talk("q", "7" * 40))).report.tokens
    report = (
        Encoder(tokenizer, load_template("chatml"), EncodeOptions(whole - 1))
        .encode_all(samples(talk("q", "7" * 40)))
        .report
    )
    assert (report.answers_cut, report.end_marks_lost) == (1, 0)
    report = (
        Encoder(tokenizer, load_template("chatml"), EncodeOptions(whole - 2))
        .encode_all(samples(talk("q", "7" * 40)))
        .report
    )
    assert (report.answers_cut, report.end_marks_lost) == (1, 1)


def test_progress_and_stop():
    _, encode = encoder("chatml")
    rows = samples(talk("q", "a")) * (CHUNK + 1)
    seen = []
    encode.encode_all(rows, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(CHUNK, CHUNK + 1), (CHUNK + 1, CHUNK + 1)]
    with pytest.raises(StopRequested):
        encode.encode_all(rows, progress=lambda *_: None, should_stop=lambda: True)


def test_arrays_have_the_promised_types_even_when_empty():
    _, encode = encoder("chatml")
    for rows in ([], samples(talk("q", "a"))):
        encoded = encode.encode_all(rows)
        assert (encoded.input_ids.dtype, encoded.labels.dtype) == (np.int32, np.int32)
        assert encoded.offsets.dtype == np.int64
        assert len(encoded) == len(rows)


@pytest.mark.parametrize("template", ["chatml", "auto"])
def test_prompt_is_what_training_put_in_front_of_the_answer(template):
    tokenizer, encode = encoder(template)
    encoded = encode.encode_all(samples(talk("question", "an answer", "and?", "there", system="s")))
    prompt = render_prompt(tokenizer, load_template(template), talk("question", "an answer", "and?", system="s"))
    ids, labels = encoded.row(0)
    assert ids[: len(prompt)].tolist() == prompt
    assert labels[len(prompt) - 1] == IGNORE
    assert labels[len(prompt)] != IGNORE


def test_auto_needs_a_chat_template():
    tokenizer = tiny_tokenizer(eos_token="<|im_end|>", chat_template=None)
    with pytest.raises(ConfigError) as error:
        Encoder(tokenizer, None, EncodeOptions(100))
    assert codes(error) == ["no_chat_template"]
    with pytest.raises(ConfigError) as error:
        render_prompt(tokenizer, None, talk("q"))
    assert codes(error) == ["no_chat_template"]


def test_prompt_that_the_template_refuses():
    tokenizer, _ = encoder("auto", chat_template=NO_SYSTEM)
    with pytest.raises(DataError) as error:
        render_prompt(tokenizer, None, talk("q", system="s"))
    assert error.value.problems[0].params == {"reason": "No system here"}
    assert codes(error) == ["chat_template_refuses_prompt"]


def test_nothing_to_train_on_is_an_error_before_training():
    _, encode = encoder("chatml")
    with pytest.raises(DataError) as error:
        check_encoded(encode.encode_all([]))
    assert codes(error) == ["no_rows"]
    with pytest.raises(DataError) as error:
        check_encoded(encode.encode_all(samples(talk("q"))))
    assert codes(error) == ["no_rows_left", "row_without_answer"]
    check_encoded(encode.encode_all(samples(talk("q"), talk("q", "a"))))


def test_cutoff_that_leaves_no_answer_says_what_would():
    tokenizer, encode = encoder("chatml")
    rows = samples(talk("7" * 50, "77"), talk("7" * 60, "77"))
    whole = encode.encode_all(rows).report
    short = Encoder(tokenizer, load_template("chatml"), EncodeOptions(3)).encode_all(rows)
    with pytest.raises(DataError) as error:
        check_encoded(short)
    assert codes(error) == ["cutoff_leaves_no_answer"]
    params = error.value.problems[0].params
    assert params["first"] == ["data.json:10", "data.json:11"]
    assert (params["at_least"], params["longest"]) == (whole.longest - 10, whole.longest)
    assert (short.report.fully_masked, short.report.labelled_tokens) == (2, 0)
    # What it says helps.
    check_encoded(Encoder(tokenizer, load_template("chatml"), EncodeOptions(params["at_least"])).encode_all(rows))


def test_template_that_hides_every_answer():
    hides = CHATML.replace("'<|im_start|>assistant\\n' }}", "'<|im_start|>assistant: ' }}")
    _, encode = encoder("auto", chat_template=hides)
    encoded = encode.encode_all([Sample(talk("q", "a"), Origin("data.parquet", 0, 7))])
    with pytest.raises(DataError) as error:
        check_encoded(encoded)
    assert codes(error) == ["all_labels_masked"]
    assert error.value.problems[0].params["first"] == ["data.parquet#7"]


def test_report_survives_json():
    tokenizer, _ = encoder("chatml")
    rows = samples(talk("7" * 50, "77"), talk("q"))
    report = Encoder(tokenizer, load_template("chatml"), EncodeOptions(3)).encode_all(rows).report
    assert report.problems
    assert report.fully_masked_first
    assert EncodeReport.from_dict(report.as_dict()) == report


def flagged(*messages):
    """(content, flag) pairs; questions have no flag."""
    roles = ("user", "assistant")
    return Conversation(tuple(Turn(roles[n % 2], text, flag) for n, (text, flag) in enumerate(messages)))


THREE = (("q1", None), ("one", True), ("q2", None), ("two", None), ("q3", None), ("three", False))


@pytest.mark.parametrize("template", ["chatml", "auto"])
@pytest.mark.parametrize(
    ("options", "learnt"),
    [({}, ["one", "two"]), ({"mask_history": True}, ["one"])],
    ids=["plain", "mask_history"],
)
def test_flag_of_an_answer_comes_before_the_config(template, options, learnt):
    tokenizer, _ = encoder(template)
    encoded = Encoder(tokenizer, load_template(template), EncodeOptions(2048, **options)).encode_all(
        samples(flagged(*THREE))
    )
    assert answers(tokenizer, *encoded.row(0)) == [f"{text}<|im_end|>\n" for text in learnt]
    assert encoded.report.unlearned_answers == 1
    assert [problem.code for problem in encoded.report.warnings()] == ["answers_flagged"]


def test_flag_stays_with_its_answer_where_the_template_hides_an_earlier_one():
    tokenizer, encode = encoder("auto", chat_template=REWRITES)
    row = flagged(("1?", None), ("<think>hm</think>a", None), ("2?", None), ("b", False), ("3?", None), ("c", None))
    encoded = encode.encode_all(samples(row))
    assert answers(tokenizer, *encoded.row(0)) == ["c<|im_end|>\n"]


def test_end_of_a_flagged_answer_is_not_learnt_where_the_next_question_carries_it():
    """GLM-4 has no end mark of its own: the token after an answer is labelled with the end of text instead."""
    tokenizer = tiny_tokenizer(special=MARKS, eos_token="<|endoftext|>")
    template = load_template("glm4")
    prepare_tokenizer(tokenizer, template)
    row = flagged(("q1", None), ("one", False), ("q2", None), ("two", None), ("q3", None), ("three", False))
    encoded = Encoder(tokenizer, template, EncodeOptions(2048)).encode_all(samples(row))
    learnt = encoded.labels[encoded.labels != IGNORE].tolist()
    assert tokenizer.decode(learnt) == "\ntwo<|endoftext|>"
    assert encoded.input_ids[-1] == tokenizer.eos_token_id
    assert encoded.labels[-1] == IGNORE


def test_long_rows_are_left_out_where_asked():
    tokenizer, encode = encoder("chatml")
    rows = samples(talk("q", "7" * 40), talk("q", "7" * 41), talk("q", "7" * 42))
    lengths = np.diff(encode.encode_all(rows).offsets).tolist()
    encoded = Encoder(tokenizer, load_template("chatml"), EncodeOptions(lengths[0], drop_long=True)).encode_all(rows)
    (problem,) = encoded.report.problems
    assert (len(encoded), encoded.report.truncated) == (1, 0)
    assert problem.code == "sample_too_long"
    assert problem.params == {"cutoff_len": lengths[0], "rows": 2, "first": ["data.json:11", "data.json:12"]}


def test_train_on_prompt_is_refused_where_questions_carry_the_end_of_answers():
    tokenizer = tiny_tokenizer(special=MARKS, eos_token="<|endoftext|>")
    with pytest.raises(ConfigError) as error:
        Encoder(tokenizer, load_template("glm4"), EncodeOptions(100, train_on_prompt=True))
    assert codes(error) == ["template_without_train_on_prompt"]


@pytest.mark.parametrize("template", ["chatml", "auto"])
def test_prompts_and_their_answers_together_are_the_row(template):
    _, encode = encoder(template)
    rows = samples(talk("question", "an answer", "and?", "there", system="s"), talk("q"), talk("q", "a"))
    prompts, encoded = encode.encode_prompts(rows), encode.encode_all(rows)
    assert len(prompts) == len(encoded) == 2
    for index in range(2):
        ids, labels = prompts.row(index)
        assert [*ids, *labels] == encoded.row(index)[0].tolist()
        assert encoded.row(index)[1][len(ids) :].tolist() == labels.tolist()
    assert [problem.code for problem in prompts.report.problems] == ["row_without_answer"]
