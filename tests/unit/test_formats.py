"""Rows into conversations: the same ones as LLaMA-Factory makes, and for every dropped row its place and reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.data.conversation import Conversation, Turn
from engine.data.formats import Tally, conversations, load_samples
from engine.data.readers import Row
from engine.data.registry import Columns, DatasetEntry, Tags
from engine.errors import DataError, Problem
from engine.messages import render

ALL = Columns(history="history", system="system", tools="tools")
OPENAI = Tags("role", "content", "user", "assistant", "tool", "function", "system")


def entry(formatting="alpaca", columns=None, tags=None, files=()) -> DatasetEntry:
    columns_given, tags_given = columns is not None, tags is not None
    return DatasetEntry(
        "mine", files, formatting, columns or Columns(), tags or Tags(), columns_given, tags_given, "info", 2
    )


def rows(*values: dict) -> list[Row]:
    return [Row(value, "rows.json", 10 + number, number) for number, value in enumerate(values)]


def one(value: dict, description: DatasetEntry) -> Conversation | Problem:
    filler = {name: None for name in ("instruction", "input", "output", "history", "system", "tools", "conversations")}
    [item, _] = conversations(rows(value, filler), description)
    return item if isinstance(item, Problem) else item.conversation


def said(*texts: str) -> tuple[Turn, ...]:
    return tuple(Turn("assistant" if place % 2 else "user", text) for place, text in enumerate(texts))


@pytest.mark.parametrize(
    ("row", "turns", "system"),
    [
        ({"instruction": "I", "input": "Q", "output": "A"}, said("I\nQ", "A"), ""),
        ({"instruction": "I", "input": "", "output": "A"}, said("I", "A"), ""),
        ({"instruction": "", "input": "Q", "output": "A"}, said("Q", "A"), ""),
        ({"instruction": "I\n", "input": "Q", "output": "A"}, said("I\n\nQ", "A"), ""),
        ({"instruction": "I", "output": ""}, said("I", ""), ""),
        ({"instruction": "I", "output": "A", "system": "S"}, said("I", "A"), "S"),
        ({"instruction": "I", "output": "A", "system": None, "history": None}, said("I", "A"), ""),
        (
            {"instruction": "I", "output": "A", "history": [["h", "r"], ["h2", ""]]},
            said("h", "r", "h2", "", "I", "A"),
            "",
        ),
    ],
)
def test_alpaca_rows_become_what_llamafactory_makes_of_them(row, turns, system):
    assert one(row, entry(columns=ALL)) == Conversation(turns, system)


@pytest.mark.parametrize(
    ("row", "code", "words"),
    [
        ({"instruction": "I", "output": None}, "data_row_response_null", "'output'"),
        ({"instruction": "I"}, "data_row_response_null", "'output'"),
        ({"instruction": 7, "output": "A"}, "data_row_type", "'instruction' holds a number where text"),
        ({"instruction": "I", "output": 4.5}, "data_row_type", "'output' holds a number"),
        ({"instruction": "I", "output": True}, "data_row_type", "true/false"),
        ({"instruction": "I", "output": ["A"]}, "data_row_type", "a list"),
        ({"instruction": "I", "output": "A", "system": {}}, "data_row_type", "'system' holds an object"),
        ({"instruction": "I", "output": "A", "history": "h"}, "data_row_type", "'history' holds text where a list"),
        ({"instruction": "I", "output": "A", "history": [["h"]]}, "data_row_history", "pair 1"),
        ({"instruction": "I", "output": "A", "history": [["h", "r"], ["h", None]]}, "data_row_history", "pair 2"),
        ({"instruction": "I", "output": "A", "tools": 5}, "data_row_type", "'tools' holds a number"),
    ],
)
def test_an_alpaca_row_that_cannot_be_used_names_place_and_reason(row, code, words):
    problem = one(row, entry(columns=ALL))
    assert isinstance(problem, Problem)
    assert (problem.code, problem.file, problem.line, problem.severity) == (code, "rows.json", 10, "warning")
    assert words in render(problem) and render(problem).startswith("rows.json:10: Row 1")


def chat(*messages: tuple[str, str]) -> dict:
    return {"conversations": [{"from": role, "value": text} for role, text in messages]}


def test_sharegpt_roles_system_and_tools():
    value = chat(("system", "S"), ("human", "u"), ("function_call", "f"), ("observation", "o"), ("gpt", "a"))
    value |= {"tools": "[]", "system": "column"}
    turns = (Turn("user", "u"), Turn("function", "f"), Turn("observation", "o"), Turn("assistant", "a"))
    columns = Columns(system="system", tools="tools")
    assert one(value, entry("sharegpt", columns)) == Conversation(turns, "S", "[]")
    value["conversations"] = value["conversations"][1:]
    assert one(value, entry("sharegpt", columns)) == Conversation(turns, "column", "[]")
    assert one(value, entry("sharegpt")) == Conversation(turns, "", "")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (chat(), "data_row_no_messages"),
        (chat(("system", "S")), "data_row_no_messages"),
        ({"conversations": None}, "data_row_no_messages"),
        ({"conversations": "text"}, "data_row_type"),
        (chat(("human", "u")), "data_row_no_answer"),
        (chat(("human", "u"), ("gpt", "a"), ("human", "u")), "data_row_no_answer"),
        (chat(("gpt", "a"), ("human", "u")), "data_row_role_order"),
        (chat(("human", "u"), ("human", "u")), "data_row_role_order"),
        (chat(("human", "u"), ("observation", "u")), "data_row_role_order"),
        (chat(("human", "u"), ("bot", "a")), "data_row_role_unknown"),
        (chat(("human", "u"), ("system", "S")), "data_row_system_late"),
        ({"conversations": ["hi"]}, "data_row_message"),
        ({"conversations": [{"role": "user", "content": "u"}]}, "data_row_member"),
        ({"conversations": [{"from": "human", "value": None}]}, "data_row_member_type"),
        ({"conversations": [{"from": "human", "value": 3}]}, "data_row_member_type"),
    ],
)
def test_a_sharegpt_row_that_cannot_be_used_names_the_reason(value, code):
    problem = one(value, entry("sharegpt"))
    assert isinstance(problem, Problem) and problem.code == code
    assert render(problem).startswith("rows.json:10: Row 1: ") and "{" not in render(problem).split("\n")[0]


def test_tags_of_openai_style_messages():
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "a"},
    ]
    value = {"messages": messages}
    description = entry("sharegpt", Columns(None, None, None, None, "messages"), OPENAI)
    [item] = conversations(rows(value), description)
    assert item.conversation == Conversation(said("u", "a"), "S")
    no_system = Tags("role", "content", "user", "assistant", None, None, None)
    [problem] = conversations(rows(value), entry("sharegpt", Columns(messages="messages"), no_system))
    assert problem.code == "data_row_system_tag_missing" and '"system_tag": "system"' in render(problem)


def test_a_column_in_no_row_ends_it_before_anything_else():
    description = entry(columns=Columns("question", None, "anser"))
    with pytest.raises(DataError) as caught:
        conversations(rows({"question": "q", "answer": 5}, {"question": "q", "id": 1}), description)
    [problem] = caught.value.problems
    assert problem.code == "dataset_column_missing_near"
    assert problem.params["columns"] == ["question", "answer", "id"] and problem.params["nearest"] == ["answer"]
    assert "Column 'anser'" in str(caught.value) and "question, answer, id" in str(caught.value)


def test_a_column_in_some_rows_is_null_in_the_others():
    items = list(
        conversations(
            rows({"instruction": "a", "output": "b", "input": "c"}, {"instruction": "a", "output": "b"}), entry()
        )
    )
    assert [item.conversation.turns[0].content for item in items] == ["a\nc", "a"]


def write(folder: Path, values: list[object], name: str = "rows.jsonl") -> tuple[Path]:
    path = folder / name
    path.write_text("\n".join(value if isinstance(value, str) else json.dumps(value) for value in values))
    return (path,)


GOOD = {"instruction": "q", "input": "", "output": "a"}


def test_the_tally_adds_up_and_shows_the_first_three(tmp_path):
    files = write(tmp_path, [GOOD, "{broken", {**GOOD, "output": None}, GOOD, {**GOOD, "output": 1}, "[1]", GOOD])
    samples, tally = load_samples(entry(files=files))
    assert [sample.origin.line for sample in samples] == [1, 4, 7]
    assert [sample.origin.row for sample in samples] == [0, 3, 6]
    assert (tally.read, tally.kept, tally.dropped.total()) == (7, 3, 4)
    assert [(problem.line, problem.code) for problem in tally.first] == [
        (2, "data_json_syntax"),
        (3, "data_row_response_null"),
        (5, "data_row_type"),
    ]
    assert json.loads(json.dumps(tally.as_dict()))["dropped"] == {
        "data_row_response_null": 1,
        "data_row_type": 1,
        "data_json_syntax": 1,
        "data_row_not_object": 1,
    }


def test_max_samples_takes_the_first_rows_over_all_files(tmp_path):
    files = write(tmp_path, [GOOD, {**GOOD, "output": None}], "a.jsonl") + write(tmp_path, [GOOD, "{", GOOD], "b.jsonl")
    samples, tally = load_samples(entry(files=files), 3)
    assert [(Path(sample.origin.file).name, sample.origin.line) for sample in samples] == [
        ("a.jsonl", 1),
        ("b.jsonl", 1),
    ]
    assert (tally.read, tally.kept, dict(tally.dropped)) == (3, 2, {"data_row_response_null": 1})


def test_a_column_that_comes_after_the_first_rows_is_not_missing(tmp_path):
    files = write(tmp_path, [GOOD, GOOD, "{", {**GOOD, "system": "S"}])
    description = entry(columns=Columns(system="system"), files=files)
    samples, tally = load_samples(description, 2)
    assert len(samples) == 2 and tally.read == 2 and not tally.dropped


def test_no_usable_row_gives_counts_and_the_first_three(tmp_path):
    files = write(tmp_path, [{**GOOD, "output": None}] * 5 + ["{"])
    with pytest.raises(DataError) as caught:
        load_samples(entry(files=files))
    summary, *first = caught.value.problems
    assert summary.code == "dataset_no_usable_row" and summary.params["read"] == 6
    assert summary.params["dropped"] == {"data_row_response_null": 5, "data_json_truncated": 1}
    assert [problem.line for problem in first] == [1, 2, 3]


def test_fields_that_the_columns_object_leaves_out_are_pointed_at(tmp_path):
    """LLaMA-Factory's most reported trap: the result stays the same, but it is said."""
    files = write(tmp_path, [{**GOOD, "input": "lost", "system": "S", "history": []}, GOOD])
    samples, tally = load_samples(entry(columns=Columns("instruction", None, "output", None, None), files=files))
    assert samples[0].conversation == Conversation(said("q", "a"))
    assert [(note.key, note.params["rows"]) for note in tally.notes] == [("input", 1), ("system", 1)]


def test_a_missing_system_tag_is_noted_with_its_count(tmp_path):
    tags = Tags("from", "value", "human", "gpt", None, None, None)
    files = write(tmp_path, [chat(("system", "S"), ("human", "u"), ("gpt", "a")), chat(("human", "u"), ("gpt", "a"))])
    _, tally = load_samples(entry("sharegpt", tags=tags, files=files))
    assert [(note.code, note.params["rows"]) for note in tally.notes] == [("dataset_system_tag", 1)]


def test_alpaca_without_any_input_column_works_and_says_what_is_unused(tmp_path):
    files = write(tmp_path, [{"instruction": "q", "output": "a", "context": "c"}])
    samples, tally = load_samples(entry(files=files))
    assert samples[0].conversation.turns == said("q", "a")
    assert [(note.code, note.params["unused"]) for note in tally.notes] == [("dataset_no_query", ["context"])]


def test_an_empty_tally_is_a_json_object():
    assert Tally("x").as_dict() == {"name": "x", "read": 0, "kept": 0, "dropped": {}, "first": [], "notes": []}


DEMOS = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not DEMOS.is_dir(), reason="the demo sets are not beside this checkout (../shared/data)")
@pytest.mark.parametrize(
    ("name", "count"),
    [("identity", 91), ("alpaca_en_demo", 999), ("alpaca_zh_demo", 1000), ("glaive_toolcall_en_demo", 300)],
)
def test_every_row_of_the_demo_sets_is_usable(name, count):
    sharegpt = name.startswith("glaive")
    columns = Columns(None, None, None, None, "conversations", None, "tools") if sharegpt else None
    samples, tally = load_samples(entry("sharegpt" if sharegpt else "alpaca", columns, files=(DEMOS / f"{name}.json",)))
    assert len(samples) == count and tally.notes == []
    raw = json.loads((DEMOS / f"{name}.json").read_text("utf-8"))
    for sample, row in zip(samples, raw, strict=True):
        last = row["conversations"][-1]["value"] if sharegpt else row["output"]
        assert sample.conversation.turns[-1].content == last
        assert sample.conversation.tools == row.get("tools", "")
