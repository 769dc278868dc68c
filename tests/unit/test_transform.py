"""`convert`: what it writes loads again as the same conversations, and nothing is written where anything is wrong."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from engine.data.conversation import Turn
from engine.data.formats import load_samples
from engine.data.registry import load_registry
from engine.data.transform import convert
from engine.errors import ConfigError, DataError, EnvironmentProblem, ProblemError


def run(source: Path, **options):
    options = {"name": "mine", "fmt": "alpaca", "mapping": {}, **options}
    return convert(source, source.parent / "out", **options)


def source(folder: Path, content, name: str = "source.jsonl") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else "\n".join(map(json.dumps, content)), encoding="utf-8")
    return path


def written(report) -> list[dict]:
    return json.loads(report.files[0].read_text("utf-8"))


def loaded(folder: Path, name: str = "mine_train"):
    [entry] = load_registry(folder / "out").resolve([name])
    samples, tally = load_samples(entry)
    assert not tally.dropped and not tally.notes
    return [sample.conversation for sample in samples]


def turns(*texts: str) -> tuple[Turn, ...]:
    return tuple(Turn("assistant" if place % 2 else "user", text) for place, text in enumerate(texts))


TABLE = "question;answer;context;persona\nWas ist é?;ein Buchstabe;;Lehrer\n001;1e5;NA;\n"


def test_a_table_becomes_alpaca_with_every_value_unchanged(tmp_path):
    report = run(source(tmp_path, TABLE, "t.csv"))
    assert report.shape == "question/answer"
    assert report.mapping == {"prompt": "question", "response": "answer", "query": "context"}
    assert written(report) == [
        {"instruction": "Was ist é?", "input": "", "output": "ein Buchstabe"},
        {"instruction": "001", "input": "NA", "output": "1e5"},
    ]
    assert report.datasets == {"mine_train": 2} and (report.tally.read, report.tally.kept) == (2, 2)
    assert "é" in report.files[0].read_text("utf-8") and report.files[0].read_text().startswith(
        '[\n  {\n    "instruction"'
    )
    assert [conversation.turns for conversation in loaded(tmp_path)] == [
        turns("Was ist é?", "ein Buchstabe"),
        turns("001\nNA", "1e5"),
    ]


@pytest.mark.parametrize("fmt", ["alpaca", "sharegpt"])
def test_a_constant_instruction_and_system(tmp_path, fmt):
    """The instruction becomes the prompt and what was mapped as prompt the query; rows keep a system of their own."""
    mapping = {"prompt": "question", "response": "answer", "system": "persona"}
    report = run(source(tmp_path, TABLE, "t.csv"), fmt=fmt, mapping=mapping, instruction="Antworte.", system="Hilf.")
    assert report.shape is None
    if fmt == "alpaca":
        assert written(report)[0] == {
            "instruction": "Antworte.",
            "input": "Was ist é?",
            "output": "ein Buchstabe",
            "system": "Lehrer",
        }
    found = loaded(tmp_path)
    assert [conversation.turns[0].content for conversation in found] == ["Antworte.\nWas ist é?", "Antworte.\n001"]
    assert [conversation.system for conversation in found] == ["Lehrer", "Hilf."]


CHAT = [
    {
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "a"},
        ]
    },
    {
        "messages": [
            {"role": role, "content": text}
            for role, text in zip(["human", "bot"] * 2, ["u1", "a1", "u2", "a2"], strict=True)
        ]
    },
]


@pytest.mark.parametrize("fmt", ["alpaca", "sharegpt"])
def test_conversations_come_back_whole_from_either_format(tmp_path, fmt):
    report = run(source(tmp_path, CHAT), fmt=fmt)
    assert report.shape == "messages"
    found = loaded(tmp_path)
    assert [(conversation.turns, conversation.system) for conversation in found] == [
        (turns("u", "a"), "S"),
        (turns("u1", "a1", "u2", "a2"), ""),
    ]
    if fmt == "alpaca":
        assert written(report)[1] == {
            "instruction": "u2",
            "input": "",
            "output": "a2",
            "system": "",
            "history": [["u1", "a1"]],
        }


@pytest.mark.parametrize("first", ["alpaca", "sharegpt"])
def test_there_and_back_is_the_same(tmp_path, first):
    second = "sharegpt" if first == "alpaca" else "alpaca"
    one = run(source(tmp_path, CHAT), fmt=first)
    entry = json.loads((tmp_path / "out" / "dataset_info.json").read_text())["mine_train"]
    mapping = {"messages": "conversations", "system": "system"}
    if first == "alpaca":
        mapping = {
            "prompt": "instruction",
            "query": "input",
            "response": "output",
            "system": "system",
            "history": "history",
        }
        assert entry["columns"] == mapping
    convert(one.files[0], tmp_path / "out", name="back", fmt=second, mapping=mapping)
    assert loaded(tmp_path, "back_train") == loaded(tmp_path)


def test_tool_calls_stay_in_sharegpt_and_are_refused_for_alpaca(tmp_path):
    tools = [{"name": "f", "parameters": {}}]
    roles = ["user", "function_call", "tool", "assistant"]
    row = {"conversations": [{"role": role, "content": role} for role in roles], "tools": tools}
    path = source(tmp_path, [row])
    run(path, fmt="sharegpt")
    [conversation] = loaded(tmp_path)
    assert [turn.role for turn in conversation.turns] == ["user", "function", "observation", "assistant"]
    assert json.loads(conversation.tools) == tools
    with pytest.raises(DataError, match="alpaca cannot hold tool calls"):
        run(path, name="other")


def test_openai_calls_and_flags_are_converted(tmp_path):
    calls = [{"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]
    said = [
        {"role": "user", "content": [{"type": "text", "text": "q"}]},
        {"role": "assistant", "content": None, "tool_calls": calls, "weight": 0},
        {"role": "tool", "content": "o1"},
        {"role": "tool", "content": "o2"},
        {"role": "assistant", "content": "a", "loss": True},
    ]
    path = source(tmp_path, [{"messages": said}])
    run(path, fmt="sharegpt")
    [conversation] = loaded(tmp_path)
    assert [(turn.role, turn.content, turn.learn) for turn in conversation.turns] == [
        ("user", "q", None),
        ("function", '[{"name": "f", "arguments": {"x": 1}}]', False),
        ("observation", "o1\no2", None),
        ("assistant", "a", True),
    ]
    unlearned = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "loss": False}]
    (tmp_path / "other").mkdir()
    path = source(tmp_path / "other", [{"messages": unlearned}])
    with pytest.raises(DataError, match="alpaca cannot hold answers that are not to be learned"):
        run(path, name="flags", fmt="alpaca")


@pytest.mark.parametrize(
    ("row", "shape", "prompt"),
    [
        ({"instruction": "q", "input": "c", "output": "a"}, "instruction/input/output", "q\nc"),
        ({"Instruction": "q", "Output": "a"}, "instruction/input/output", "q"),
        ({"instruction": "q", "context": "c", "response": "a"}, "instruction/context/response", "q\nc"),
        ({"prompt": "q", "completion": "a"}, "prompt/completion", "q"),
        ({"prompt": "q", "response": "a"}, "prompt/response", "q"),
        ({"question": "q", "answer": "a"}, "question/answer", "q"),
        ({"question": "q", "answer": "a", "context": "c"}, "question/answer", "q\nc"),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, "conversations", "q"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "model", "content": "a"}]}, "messages", "q"),
        ({"prompt": "x", "response": "y", "messages": "not a list"}, "prompt/response", "x"),
    ],
)
def test_common_shapes_are_recognised(tmp_path, row, shape, prompt):
    report = run(source(tmp_path, [row]), fmt="sharegpt")
    assert report.shape == shape and report.tally.notes[0].code == "convert_recognised"
    assert loaded(tmp_path)[0].turns[0].content == prompt


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "convert_not_recognised"),
        ({"mapping": {"promt": "x"}}, "convert_target_unknown_near"),
        ({"mapping": {"prompt": "xx", "response": "y"}}, "convert_column_unknown_near"),
        ({"mapping": {"prompt": "zzz", "response": "y"}}, "convert_column_unknown"),
        ({"mapping": {"prompt": "x"}}, "convert_mapping_incomplete"),
        ({"mapping": {"messages": "x", "response": "y"}}, "convert_mapping_conflict"),
        ({"mapping": {"messages": "x"}, "instruction": "I"}, "convert_mapping_conflict"),
        ({"mapping": {"messages": "x"}}, "convert_messages_members"),
        ({"name": "../x"}, "convert_name"),
        ({"name": "a,b"}, "convert_name"),
        ({"fmt": "openai"}, "convert_format"),
        ({"max_samples": 0}, "convert_max_samples"),
        ({"mapping": {"prompt": "x", "response": "y"}, "test_split": 1}, "convert_test_split"),
        ({"test_split": 1.5}, "convert_test_split"),
        ({"test_split": -0.1}, "convert_test_split"),
        ({"test_split": float("nan")}, "convert_test_split"),
    ],
)
def test_what_cannot_be_converted_says_why_and_writes_nothing(tmp_path, options, code):
    path = source(tmp_path, [{"x": "1", "y": "2"}])
    with pytest.raises(ProblemError) as caught:
        run(path, **options)
    assert [problem.code for problem in caught.value.problems] == [code]
    assert code not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_dropped_rows_are_counted_with_place_and_reason(tmp_path):
    rows = [{"prompt": "q", "response": "a"}, {"prompt": "q", "response": None}, {"prompt": 1, "response": "a"}]
    path = source(tmp_path, "\n".join([*map(json.dumps, rows), "{", '{"prompt": "q", "response": ""}']))
    report = run(path)
    assert (report.tally.read, report.tally.kept) == (5, 2)
    assert dict(report.tally.dropped) == {"data_row_response_null": 1, "data_row_type": 1, "data_json_truncated": 1}
    assert [problem.line for problem in report.tally.first] == [2, 3, 4]
    assert [(note.code, note.params.get("rows")) for note in report.tally.notes][1:] == [("convert_empty_responses", 1)]
    assert json.loads(json.dumps(report.as_dict()))["rows"]["kept"] == 2


def many(tmp_path: Path, count: int = 10) -> Path:
    return source(tmp_path, [{"prompt": str(number), "response": "a"} for number in range(count)], f"{count}.jsonl")


@pytest.mark.parametrize(("split", "test_rows"), [(0.2, 2), (0.07, 1), (3, 3), (0.01, 1), (0.3, 3)])
def test_a_split_is_disjoint_complete_and_keeps_the_order(tmp_path, split, test_rows):
    report = run(many(tmp_path), test_split=split)
    assert report.datasets == {"mine_train": 10 - test_rows, "mine_test": test_rows}
    train, test = (
        [int(conversation.turns[0].content) for conversation in loaded(tmp_path, name)]
        for name in ("mine_train", "mine_test")
    )
    assert sorted(train + test) == list(range(10)) and train == sorted(train) and test == sorted(test)


def test_a_split_depends_on_the_seed_alone(tmp_path):
    path = many(tmp_path, 100)
    parts = [written(run(path, name=f"n{number}", test_split=0.5, seed=seed)) for number, seed in enumerate((1, 1, 2))]
    assert parts[0] == parts[1] != parts[2]


def test_seven_percent_of_a_hundred_rows_are_seven(tmp_path):
    """0.07 * 100 is 7.000000000000001 in floating point, which must not become 8."""
    assert run(many(tmp_path, 100), test_split=0.07).datasets["mine_test"] == 7


def test_max_samples_takes_the_first_rows(tmp_path):
    run(many(tmp_path), max_samples=3)
    assert [conversation.turns[0].content for conversation in loaded(tmp_path)] == ["0", "1", "2"]


def test_nothing_is_overwritten_unless_asked(tmp_path):
    first = run(many(tmp_path))
    before = [path.read_bytes() for path in first.files]
    assert run(many(tmp_path)).files == first.files  # the same again is no conflict
    with pytest.raises(ConfigError) as caught:
        run(many(tmp_path, 5), test_split=2)
    assert [(problem.code, problem.file) for problem in caught.value.problems] == [
        ("convert_file_exists", str(first.files[0]))
    ]
    with pytest.raises(ConfigError, match="differently"):
        run(many(tmp_path, 10), fmt="sharegpt")
    assert [path.read_bytes() for path in first.files] == before
    assert not (tmp_path / "out" / "mine_test.json").exists()
    run(many(tmp_path, 5), overwrite=True)
    assert len(loaded(tmp_path)) == 5


def test_what_holds_samples_is_private_and_other_entries_stay(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dataset_info.json").write_text('{"other": {"file_name": "x.json"}}')
    report = run(many(tmp_path))
    assert stat.S_IMODE(report.files[0].stat().st_mode) == 0o600
    assert list(json.loads((tmp_path / "out" / "dataset_info.json").read_text())) == ["other", "mine_train"]


def test_a_folder_that_cannot_be_made_is_a_problem(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(EnvironmentProblem):
        run(many(tmp_path))


def test_parquet_chats_convert(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(CHAT), tmp_path / "chat.parquet")
    run(tmp_path / "chat.parquet", fmt="sharegpt")
    assert [conversation.turns[-1].content for conversation in loaded(tmp_path)] == ["a", "a2"]


DEMOS = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not DEMOS.is_dir(), reason="the demo sets are not beside this checkout (../shared/data)")
@pytest.mark.parametrize("name", ["identity", "alpaca_zh_demo", "glaive_toolcall_en_demo"])
def test_demo_sets_survive_conversion_to_sharegpt(tmp_path, name):
    raw = json.loads((DEMOS / f"{name}.json").read_text("utf-8"))
    report = convert(DEMOS / f"{name}.json", tmp_path / "out", name="demo", fmt="sharegpt", mapping={})
    assert report.tally.kept == len(raw)
    for conversation, row in zip(loaded(tmp_path, "demo_train"), raw, strict=True):
        if "conversations" in row:
            expected = [message["value"] for message in row["conversations"]]
        else:
            expected = ["\n".join(filter(None, [row["instruction"], row["input"]])), row["output"]]
        assert [turn.content for turn in conversation.turns] == expected
