"""OpenAI messages: tool calls, parts, flags; the names that people use need no tags."""

from __future__ import annotations

import json

import pytest

from engine.data.conversation import Conversation, Turn
from engine.data.entry_reader import OPENAI_COLUMNS
from engine.data.formats import conversations, load_samples
from engine.data.readers import Row
from engine.data.registry import DatasetEntry
from engine.errors import Problem
from engine.messages import render

OPENAI = DatasetEntry("mine", (), "openai", OPENAI_COLUMNS)
SHAREGPT = DatasetEntry("mine", (), "sharegpt")
USER = {"role": "user", "content": "u"}
ANSWER = {"role": "assistant", "content": "a"}


def one(value: object, entry: DatasetEntry = OPENAI) -> Conversation | Problem:
    row = value if isinstance(value, dict) else {"messages": value}
    [item] = conversations([Row(row, "rows.json", 10, 0)], entry)
    return item if isinstance(item, Problem) else item.conversation


def call(arguments: object, **more: object) -> dict:
    function = {"name": "f", "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": function}], **more}


def called(conversation: Conversation | Problem) -> list[dict]:
    assert isinstance(conversation, Conversation)
    assert conversation.turns[1].role == "function"
    return json.loads(conversation.turns[1].content)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "S"}, USER, ANSWER],
        [{"role": "developer", "content": "S"}, USER, ANSWER],
        [{"from": "system", "value": "S"}, {"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}],
        [{"role": "system", "content": [{"type": "text", "text": "S"}]}, USER, {**ANSWER, "tool_calls": None}],
    ],
)
@pytest.mark.parametrize("column", ["messages", "conversations"])
def test_usual_names_need_no_tags_and_no_columns(messages, column):
    assert one({column: messages}) == Conversation((Turn("user", "u"), Turn("assistant", "a")), "S")


@pytest.mark.parametrize("arguments", [{"x": "é"}, '{"x": "é"}', ' {"x": "\\u00e9"}\n'])
def test_arguments_may_be_an_object_or_its_text(arguments):
    assert called(one([USER, call(arguments)])) == [{"name": "f", "arguments": {"x": "é"}}]


@pytest.mark.parametrize("arguments", [{}, "", None])
def test_a_call_may_have_no_arguments(arguments):
    assert called(one([USER, call(arguments)])) == [{"name": "f", "arguments": {}}]


def test_the_old_function_call_member_is_a_tool_call():
    message = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    conversation = one([USER, message, {"role": "function", "content": "o"}, ANSWER])
    assert called(conversation) == [{"name": "f", "arguments": {}}]
    assert conversation.turns[2] == Turn("observation", "o")


def test_results_of_several_tools_are_one_turn_that_knows_its_parts():
    tools = [{"role": "tool", "content": text} for text in ("o1", "o2")]
    conversation = one([USER, call({}), *tools, ANSWER, USER, call({}), tools[0]])
    assert conversation.turns[2] == Turn("observation", "o1\no2", results=("o1", "o2"))
    roles = ["user", "function", "observation", "assistant", "user", "function"]
    assert [turn.role for turn in conversation.turns] == roles  # nothing answers the last result: it is left out


@pytest.mark.parametrize(
    ("tools", "text"),
    [
        ([{"name": "é"}], '[{"name": "é"}]'),
        ({"name": "f"}, '[{"name": "f"}]'),
        ('[{"name": "f"}]', '[{"name": "f"}]'),
        ([], ""),
        (None, ""),
    ],
)
def test_tools_as_list_object_or_text(tools, text):
    assert one({"messages": [USER, ANSWER], "tools": tools}).tools == text
    sharegpt = DatasetEntry("mine", (), "sharegpt", OPENAI_COLUMNS, OPENAI.tags, True)
    row = {"messages": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}], "tools": tools}
    assert one(row, sharegpt).tools == text


def test_sharegpt_calls_and_results_may_be_objects():
    said = [
        {"from": "human", "value": "u"},
        {"from": "function_call", "value": {"name": "f", "arguments": {"x": "é"}}},
        {"from": "observation", "value": [1, {"y": "é"}]},
        {"from": "gpt", "value": "a"},
    ]
    contents = [turn.content for turn in one({"conversations": said}, SHAREGPT).turns]
    assert contents == ["u", '{"name": "f", "arguments": {"x": "é"}}', '[1, {"y": "é"}]', "a"]


@pytest.mark.parametrize(
    ("messages", "code", "words"),
    [
        ([USER, call("{broken")], "data_row_arguments", "arguments of 'f' in message 2 are text"),
        ([USER, call([1])], "data_row_arguments", "a list"),
        ([USER, call("[1]")], "data_row_arguments", "a list"),
        ([USER, {**ANSWER, "tool_calls": [{"name": "f"}]}], "data_row_call", "message 2"),
        ([USER, {**ANSWER, "tool_calls": ["f"]}], "data_row_call", "function"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, ANSWER], "data_row_part", "(image_url)"),
        ([{"role": "user", "content": [5]}, ANSWER], "data_row_part", "a number"),
        ([USER, {"role": "assistant", "content": None}], "data_row_member_type", "'content' of message 2 is null"),
        ([USER, {"role": "assistant"}], "data_row_member", "no 'content'"),
        ([USER, {**ANSWER, "weight": 2}], "data_row_flag", "'weight' of message 2 is 2; it can be 0 or 1"),
        ([USER, {**ANSWER, "weight": True}], "data_row_flag", "is true; it can be 0 or 1"),
        ([USER, {**ANSWER, "weight": "0"}], "data_row_flag", 'is "0"; it can be'),
        ([USER, {**ANSWER, "loss": [1]}], "data_row_flag", "is a list; it can be true or false"),
        ([USER, {**ANSWER, "loss": 0}], "data_row_flag", "'loss' of message 2 is 0; it can be true or false"),
        ([USER, {**ANSWER, "loss": True, "weight": 0}], "data_row_flags_differ", "contradict"),
        ([USER, {"role": "tool", "content": "o"}], "data_row_no_answer", "ends without an answer"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(messages, code, words):
    problem = one(messages)
    assert isinstance(problem, Problem) and problem.code == code
    assert words in render(problem)


@pytest.mark.parametrize(
    ("flags", "learn"),
    [
        ({}, None),
        ({"weight": 0}, False),
        ({"weight": 1}, True),
        ({"weight": 0.0}, False),
        ({"loss": False}, False),
        ({"loss": True, "weight": 1}, True),
        ({"loss": None, "weight": None}, None),
    ],
)
def test_flags_say_which_answers_are_learned(flags, learn):
    assert one([USER, {**ANSWER, **flags}, USER, ANSWER]).turns[1:4:2] == (
        Turn("assistant", "a", learn),
        Turn("assistant", "a"),
    )
    said = [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a", **flags}]
    assert one({"conversations": said}, SHAREGPT).turns[1].learn is learn
    assert one([USER, call({}, **flags)]).turns[1].learn is learn


def test_what_has_no_effect_is_counted(tmp_path):
    rows = [
        {
            "messages": [
                {**USER, "weight": 1},
                call({}, content="Let me look."),
                {"role": "tool", "content": "o"},
                ANSWER,
            ]
        },
        {"messages": [{**USER, "loss": False}, call({}, content=[{"type": "text", "text": "Hm."}])]},
        {"messages": [USER, call({}, content="<think>\nHm.\n</think>\n")]},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    samples, tally = load_samples(DatasetEntry("mine", (path,), "openai", OPENAI_COLUMNS))
    assert {(note.code, note.params["rows"]) for note in tally.notes} == {
        ("data_flag_on_question", 1),
        ("data_text_beside_calls", 2),
    }
    assert samples[0].conversation.turns[0].learn is None
    assert samples[2].conversation.turns[1].content.startswith('<think>\nHm.\n</think>\n[{"name": "f"')


def test_tool_calls_under_sharegpt_point_to_openai():
    said = [{"from": "human", "value": "u"}, {"from": "gpt", "value": "", "tool_calls": [{"function": {"name": "f"}}]}]
    problem = one({"conversations": said}, SHAREGPT)
    assert problem.code == "data_row_tool_calls" and "openai" in render(problem)


def test_parquet_fills_members_with_null_and_nothing_changes(tmp_path):
    """A column of structs gives every message the members of all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "messages": [USER, call('{"x": 1}', weight=0), {"role": "tool", "content": "o"}, ANSWER],
            "tools": '[{"name": "f"}]',
        },
        {"messages": [{"role": "system", "content": "S"}, USER, {**ANSWER, "loss": True}], "tools": None},
    ]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    samples, tally = load_samples(DatasetEntry("mine", (path,), "openai", OPENAI_COLUMNS))
    assert [sample.conversation for sample in samples] == [one(row) for row in rows] and not tally.notes
