"""Reading files of rows: every value as the file holds it, every bad row by place and cause, every good row kept."""

from __future__ import annotations

import gzip
import json
import random
import re
from pathlib import Path

import pytest

from engine.data.messages import MESSAGES
from engine.data.readers import read_rows
from engine.data.reading_messages import READING_MESSAGES
from engine.data.registry_messages import REGISTRY_MESSAGES
from engine.errors import DataError, ProblemError
from engine.messages import render

A, B = {"q": "eins", "a": "1"}, {"q": "zwei", "a": "2"}
LINE_A, LINE_B = b'{"q": "eins", "a": "1"}', b'{"q": "zwei", "a": "2"}'


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def read(path: Path, limit: int | None = None):
    file = read_rows(path, limit=limit)
    return [row.values for row in file], file


# name, bytes, the rows that survive, [(code, line, column)] of those that do not; column None: not compared
DAMAGED = [
    ("middle.jsonl", LINE_A + b'\n{"q": "x", "a" "y"}\n' + LINE_B, [A, B], [("data_json_syntax", 2, 16)]),
    ("nan.jsonl", LINE_A + b'\n{"q": "NaN", "a": NaN}\n' + LINE_B, [A, B], [("data_json_not_finite", 2, 19)]),
    ("inf.jsonl", b'{"q": -Infinity}\n' + LINE_B, [B], [("data_json_not_finite", 1, 7)]),
    ("over.jsonl", b'{"q": 1e999}\n' + LINE_B, [B], [("data_json_number", 1, None)]),
    ("digits.jsonl", b'{"q": ' + b"9" * 5000 + b"}\n" + LINE_B, [B], [("data_json_number", 1, None)]),
    ("twice.jsonl", b'{"q": "x", "a": {"q": 1}, "q": "y"}\n' + LINE_B, [B], [("data_json_duplicate_key", 1, 27)]),
    (
        "surrogate.jsonl",
        b'{"q": "ok \\ud83d\\ude00"}\n{"q": "cut \\ud83d"}',
        None,
        [("data_json_lone_surrogate", 2, 12)],
    ),
    ("gbk.jsonl", LINE_A + b'\n{"q": "' + "中文".encode("gbk") + b'"}\n' + LINE_B, [A, B], [("data_not_utf8", 2, 8)]),
    ("cut.jsonl", LINE_A + b'\n{"q": "zw', [A], [("data_json_string_unclosed", 2, 7)]),
    ("cut2.jsonl", LINE_A + b'\n{"q": ', [A], [("data_json_truncated", 2, None)]),
    ("comma.jsonl", b'{"q": "x",}\n' + LINE_B, [B], [("data_json_comma_trailing", 1, 11)]),
    ("repr.jsonl", b"{'q': 'x'}\n" + LINE_B, [B], [("data_json_single_quotes", 1, 2)]),
    ("escape.jsonl", b'{"q": "C:\\data"}\n' + LINE_B, [B], [("data_json_escape", 1, None)]),
    ("tab.jsonl", b'{"q": "a\tb"}\n' + LINE_B, [B], [("data_json_control", 1, 9)]),
    ("nul.jsonl", b'{"q": "a\0b"}\n' + LINE_B, [B], [("data_json_control", 1, 9)]),
    ("two.jsonl", LINE_A + LINE_B + b"\n" + LINE_B, [B], [("data_json_two_rows", 1, 24)]),
    ("rest.jsonl", LINE_A + b" # note\n" + LINE_B, [B], [("data_json_extra", 1, None)]),
    ("list.jsonl", b"[1, 2]\n" + LINE_B, [B], [("data_row_not_object", 1, None)]),
    ("text.jsonl", LINE_A + b'\n"just text"\n', [A], [("data_row_not_object", 2, None)]),
    ("deep.jsonl", b'{"q":' + b"[" * 30000 + b"]" * 30000 + b"}\n" + LINE_B, [B], [("data_json_too_deep", 1, None)]),
    ("middle.json", b"[\n" + LINE_A + b',\n{"q": nope},\n' + LINE_B + b"]", [A, B], [("data_json_syntax", 3, 7)]),
    (
        "quote.json",
        b"[\n" + LINE_A + b',\n{"q": "x, "a": "y"},\n' + LINE_B + b"]",
        [A, B],
        [("data_json_syntax", 3, None)],
    ),
    ("flat.json", b"[" + LINE_A + b',{"q": "x},' + LINE_B + b"]", [A, B], [("data_json_syntax", 1, None)]),
    ("brace.json", b"[" + LINE_A + b',\n{"q": "x",\n' + LINE_B + b"\n]", [A, B], [("data_json_syntax", 3, 1)]),
    ("newline.json", b"[" + LINE_A + b',{"q": "x\ny"},' + LINE_B + b"]", [A, B], [("data_json_control", 1, None)]),
    ("nan.json", b"[" + LINE_A + b',\n{"q": NaN}\n,' + LINE_B + b"]", [A, B], [("data_json_not_finite", 2, 7)]),
    ("twice.json", b'[\n{"q": 1,\n "q": 2},\n' + LINE_B + b"]", [B], [("data_json_duplicate_key", 3, 2)]),
    (
        "gbk.json",
        b"[" + LINE_A + b',\n{"q": "' + "\u4e2d".encode("gbk") + b'"},' + LINE_B + b"]",
        [A, B],
        [("data_not_utf8", 2, 8)],
    ),
    ("numbers.json", b"[1, " + LINE_A + b", null]", [A], [("data_row_not_object", 1, None)] * 2),
    ("word.json", b"[" + LINE_A + b", oops, " + LINE_B + b"]", [A, B], [("data_json_syntax", 1, None)]),
    ("deep.json", b"[" + b"[" * 30000 + b"]" * 30000 + b"," + LINE_B + b"]", [B], [("data_json_too_deep", 1, None)]),
    ("cut.json", b"[" + LINE_A + b',\n{"q": "zw', [A], [("data_json_truncated", 2, None)]),
    ("open.json", b"[" + LINE_A + b",\n" + LINE_B + b"\n", [A, B], [("data_json_array_unclosed", 3, None)]),
    ("after.json", b"[" + LINE_A + b"]\n[" + LINE_B + b"]", [A], [("data_json_after_end", 2, 1)]),
    (
        "ragged.csv",
        b"q,a\neins,1\nx\ny,2,3\nzwei,2\n",
        [A, B],
        [("data_csv_ragged", 3, None), ("data_csv_ragged", 4, None)],
    ),
    ("quote.csv", b'q,a\neins,1\n"x,2\nzwei,2\n', [A, B], [("data_csv_quote_unclosed", 3, 1)]),
    ("quote2.csv", b'q,a\neins,1\nx,"2\nzwei,"2"\n', [A, B], [("data_csv_quote_unclosed", 3, 3)]),
    ("stray.csv", b'q,a\neins,1\n"x"y,2\nzwei,2\n', [A, B], [("data_csv_quote_stray", 3, 1)]),
    ("gbk.csv", b"q,a\neins,1\n" + "中,2\n".encode("gbk") + b"zwei,2\n", [A, B], [("data_not_utf8", 3, 1)]),
    ("nul.csv", b"q,a\neins,1\nx\0,2\nzwei,2\n", [A, B], [("data_nul", 3, 2)]),
]


@pytest.mark.parametrize(("name", "data", "rows", "bad"), DAMAGED, ids=[case[0] for case in DAMAGED])
def test_a_damaged_row_is_named_and_the_others_survive(tmp_path, name, data, rows, bad):
    path = write(tmp_path, name, data)
    found, file = read(path)
    assert found == ([{"q": "ok 😀"}] if rows is None else rows)
    assert [(problem.code, problem.line) for problem in file.bad] == [(code, line) for code, line, _ in bad]
    for problem, (_, _, column) in zip(file.bad, bad, strict=True):
        assert problem.file == str(path) and problem.severity == "warning"
        assert column is None or problem.column == column
        assert problem.code not in render(problem)


UNUSABLE = [
    ("empty.json", b"", "data_file_empty", None),
    ("empty.csv", b"", "data_file_empty", None),
    ("blank.jsonl", b" \n\n", "data_file_blank", None),
    ("blank.json", b"\xef\xbb\xbf \n", "data_file_blank", None),
    ("blank.csv", b"\n\n", "data_file_blank", None),
    ("none.json", b"[ ]", "data_file_no_rows", None),
    ("header.csv", b"q,a\n", "data_file_no_rows", None),
    ("packed.jsonl", gzip.compress(LINE_A), "data_file_magic", None),
    ("packed.json", b"PK\x03\x04\x14\x00", "data_file_magic", None),
    ("table.csv", b"PAR1\x15\x04", "data_file_magic", None),
    ("noise.json", bytes(range(256)) * 4 + b"\0" * 600, "data_file_binary", None),
    ("utf16.json", '[{"q": "x"}]'.encode("utf-16-le"), "data_file_binary", None),
    ("data.json", b'\n{"data": [{"q": 1}], "version": 2}', "data_json_object_with_list", 2),
    ("columns.json", b'{"q": ["x", "y"], "a": ["1", "2"]}', "data_json_columns", 1),
    ("object.json", b'{"q": "x"}', "data_json_object", 1),
    ("pretty.json", b'{\n"q": "x"\n}\n{\n"q": "y"\n}', "data_json_several_objects", 4),
    ("broken.json", b'{\n"q": "x",\n"a": nope\n}', "data_json_syntax", 3),
    ("text.json", b'"text"', "data_json_not_rows", 1),
    ("twice.csv", b"q,q\n1,2\n", "data_column_twice", 1),
    ("bad.parquet", b"PAR1 nothing PAR1", "data_parquet_broken", None),
    ("empty.parquet", b"", "data_file_empty", None),
    ("notes.md", b"text", "data_file_suffix", None),
    ("bad.arrow", b"ARROW1 nothing", "data_arrow_broken", None),
    ("empty.arrow", b"", "data_file_empty", None),
    ("empty.txt", b"", "data_file_empty", None),
]


@pytest.mark.parametrize(("name", "data", "code", "line"), UNUSABLE, ids=[case[0] for case in UNUSABLE])
def test_a_file_that_cannot_be_used_says_why(tmp_path, name, data, code, line):
    with pytest.raises(DataError) as caught:
        read(write(tmp_path, name, data))
    [problem] = caught.value.problems
    assert (problem.code, problem.line, problem.file) == (code, line, str(tmp_path / name))
    assert code not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    for path, code in ((tmp_path / "no.json", "data_file_missing"), (tmp_path, "data_file_not_a_file")):
        with pytest.raises(DataError) as caught:
            read_rows(path)
        assert caught.value.problems[0].code == code


def test_the_key_that_holds_the_rows_is_named(tmp_path):
    with pytest.raises(DataError, match="'data' holds a list"):
        read(write(tmp_path, "x.json", '{"data": [{"q": 1}]}'))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv"])
def test_encodings_and_line_ends_do_not_matter(tmp_path, encoding, end, suffix):
    text = {
        "json": ["[", '{"q": "né 中 \u2028 😀"},', '{"q": "2"}', "]"],
        "jsonl": ['{"q": "né 中 \u2028 😀"}', '{"q": "2"}'],
        "csv": ["q", "né 中 \u2028 😀", "2"],
    }[suffix]
    path = write(tmp_path, f"x.{suffix}", end.join(text).encode(encoding))
    file = read_rows(path)
    rows = list(file)
    assert [row.values["q"] for row in rows] == ["né 中 \u2028 😀", "2"]
    assert [row.line for row in rows] == ([1, 2] if suffix == "jsonl" else [2, 3])
    assert not file.bad


def test_csv_values_stay_text(tmp_path):
    path = write(tmp_path, "x.csv", 'a,b,c,d,e,f\n001,1e5,NA,null,,"x ""y""\n, z"\n')
    rows, file = read(path)
    assert rows == [{"a": "001", "b": "1e5", "c": "NA", "d": "null", "e": "", "f": 'x "y"\n, z'}]
    assert not file.bad and not file.notes


def test_json_values_keep_their_type_and_size(tmp_path):
    text = '{"big": 123456789012345678901234567890, "text": "001", "none": null, "half": 0.5, "list": [1, "1"]'
    text += ', "nul": "\\u0000"}'
    [row], _ = read(write(tmp_path, "x.jsonl", text))
    assert row["big"] == 123456789012345678901234567890
    assert (row["text"], row["none"], row["half"], row["list"], row["nul"]) == ("001", None, 0.5, [1, "1"], "\0")


@pytest.mark.parametrize(
    ("name", "text", "note"),
    [
        ("x.csv", "q;a\neins;1\nzwei;2\n", "data_csv_delimiter"),
        ("x.csv", "q\ta\neins\t1\nzwei\t2\n", "data_csv_delimiter"),
        ("x.tsv", "q\ta\neins\t1\nzwei\t2\n", None),
        ("x.tsv", "q,a\neins,1\nzwei,2\n", "data_csv_delimiter"),
        ("x.json", '{"q": "eins", "a": "1"}\n\n{"q": "zwei", "a": "2"}', "data_jsonl_as_json"),
        ("x.jsonl", '[{"q": "eins", "a": "1"},\n{"q": "zwei", "a": "2"}]', "data_json_array_as_jsonl"),
        ("x.json", '[{"q": "eins", "a": "1"}, {"q": "zwei", "a": "2"},]', "data_json_comma_last"),
        ("x.json", '[{"q": "eins", "a": "1"} {"q": "zwei", "a": "2"}]', "data_json_comma_missing"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_read_with_a_note(tmp_path, name, text, note):
    rows, file = read(write(tmp_path, name, text))
    assert rows == [A, B]
    assert [problem.code for problem in file.notes] == ([note] if note else [])
    assert not file.bad


def test_json_lines_named_json_survive_a_broken_first_row(tmp_path):
    rows, file = read(write(tmp_path, "x.json", b'{"q": nope}\n' + LINE_A + b"\n" + LINE_B))
    assert rows == [A, B]
    assert [(problem.code, problem.line) for problem in file.bad] == [("data_json_syntax", 1)]


def test_a_nested_message_is_not_taken_for_a_row(tmp_path):
    """After a row whose quotes do not match, reading must go on at the next row and not inside the broken one."""
    good = {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]}
    broken = '{"conversations": [{"from": "human, "value": "hi"}, {"from": "gpt", "value": "ho"}]}'
    for first in (True, False):
        parts = [broken, json.dumps(good)] if first else [json.dumps(good), broken, json.dumps(good)]
        rows, file = read(write(tmp_path, "x.json", "[" + ", ".join(parts) + "]"))
        assert rows == [good] * (len(parts) - 1)
        assert len(file.bad) == 1


@pytest.mark.parametrize("first", ['{"conver\nsations": ', '"conversations": ', '{conversations": '])
def test_rows_are_found_after_a_first_row_whose_key_is_broken(tmp_path, first):
    good = {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]}
    text = json.dumps(good)
    broken = text.replace('{"conversations": ', first)
    rows, file = read(write(tmp_path, "x.json", f"[{broken}, {text}, {text}]"))
    assert rows == [good, good] and file.bad


def test_line_numbers_are_those_of_an_editor(tmp_path):
    path = write(tmp_path, "x.json", json.dumps([A, B], indent=2))
    assert [(row.line, row.number) for row in read_rows(path)] == [(2, 0), (6, 1)]
    path = write(tmp_path, "x.csv", 'q,a\n"two\nlines",1\nzwei,2\n')
    assert [(row.line, row.number) for row in read_rows(path)] == [(2, 0), (4, 1)]


def test_limit_takes_the_first_readable_rows(tmp_path):
    path = write(tmp_path, "x.jsonl", LINE_A + b"\nbroken\n" + LINE_B + b"\n" + LINE_A)
    assert read(path, limit=2)[0] == [A, B]


def test_parquet_values_and_nulls(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"q": "é", "m": [{"role": "user", "content": "x"}], "n": 2**60}, {"q": None, "m": None, "n": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    file = read_rows(tmp_path / "x.parquet")
    assert [(row.values, row.line) for row in file] == [(rows[0], 0), (rows[1], 0)]


def test_a_parquet_value_that_is_not_utf8_costs_its_row_only(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    offsets, data = pa.py_buffer(b"\0\0\0\0\1\0\0\0\3\0\0\0\4\0\0\0"), pa.py_buffer(b"a\xd6\xd0b")
    column = pa.Array.from_buffers(pa.string(), 3, [None, offsets, data])
    pq.write_table(pa.table({"q": column}), tmp_path / "x.parquet")
    rows, file = read(tmp_path / "x.parquet")
    assert rows == [{"q": "a"}, {"q": "b"}]
    assert [(problem.code, problem.params["row"]) for problem in file.bad] == [("data_parquet_value_broken", 2)]


def test_a_single_line_of_100_mb(tmp_path):
    text = "x" * 100_000_000
    path = write(tmp_path, "x.jsonl", json.dumps({"q": text}))
    assert next(iter(read_rows(path))).values == {"q": text}
    path = write(tmp_path, "x.csv", f'q\n"{text}"\n')
    assert next(iter(read_rows(path))).values == {"q": text}


def test_a_million_broken_rows_are_counted_and_not_kept(tmp_path):
    path = write(tmp_path, "x.jsonl", b"broken\n" * 5000)
    rows, file = read(path)
    assert not rows and len(file.bad) == 1000 and file.bad_counts.total() == 5000


@pytest.mark.parametrize("unit", [b'{"a":[ , ', b'{"a":"', b"{{{{", b'[{"a":1}},', b'"', b"[[["])
def test_hopeless_files_end_soon(tmp_path, unit):
    read(write(tmp_path, "x.json", b"[" + unit * 20_000))


@pytest.mark.parametrize("unit", [b'a,"b\n', b'"\n', b'a,""b"\n', b'"a"",""\n'])
def test_hopeless_tables_end_soon(tmp_path, unit):
    read(write(tmp_path, "x.csv", b"a,b\n" + unit * 20_000))


SEEDS = {
    "x.json": json.dumps([A, B, {"q": "drei 中", "a": "3"}], ensure_ascii=False, indent=1).encode(),
    "x.jsonl": b"\n".join([LINE_A, LINE_B, '{"q": "drei 中", "a": "3"}'.encode()]),
    "x.csv": 'q,a\neins,1\n"zw,ei","2\n2"\n中,"3"\n'.encode(),
    "x.tsv": "q\ta\neins\t1\n中\t3\n".encode(),
}
PIECES = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"'",
]


@pytest.mark.parametrize("name", [*SEEDS, "x.parquet"])
def test_random_damage_never_ends_in_a_traceback(tmp_path, name):
    if name == "x.parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist([A, B]), tmp_path / "seed")
        seed = (tmp_path / "seed").read_bytes()
    else:
        seed = SEEDS[name]
    draw = random.Random(7)
    for _ in range(300):
        data = bytearray(seed)
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(data) + 1)
            match draw.randrange(4):
                case 0:
                    data[place : place + 1] = b""
                case 1:
                    data[place:place] = draw.choice(PIECES)
                case 2:
                    data[place : place + 1] = bytes([draw.randrange(256)])
                case 3:
                    del data[place:]
        path = write(tmp_path, name, bytes(data))
        try:
            file = read_rows(path)
            for row in file:
                assert all(isinstance(column, str) for column in row.values)
                if not name.endswith("parquet"):
                    assert row.line >= 1
            for problem in file.bad:
                assert problem.file and problem.line is not None and render(problem)
        except ProblemError as error:
            assert error.problems[0].file == str(path)


OWN = "registry entries entry_reader formats columns turns chats calls hub tally mixing shapes transform".split()  # noqa: SIM905


def test_every_code_has_words():
    folder = Path(__file__).parents[2] / "engine" / "data"
    own = [
        *folder.glob("readers/*.py"),
        *(folder / f"{name}.py" for name in OWN),
    ]
    codes = {code for path in own for code in re.findall(r'"((?:data|dataset|convert|hub)_\w+)"', path.read_text())}
    codes -= {"dataset_info", "dataset_", "hub_file"}
    words = READING_MESSAGES.keys() | REGISTRY_MESSAGES.keys()
    assert {code for code in codes if not code.endswith("_url")} <= words, codes - words
    assert words <= set(MESSAGES)


DEMOS = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not DEMOS.is_dir(), reason="the demo sets are not beside this checkout (../shared/data)")
def test_real_files_read_as_json_reads_them():
    for path in sorted(DEMOS.glob("*.json")):
        rows, file = read(path)
        assert rows == json.loads(path.read_text("utf-8"))
        assert not file.bad and not file.notes


@pytest.mark.parametrize("form", ["stream", "file", "datasets"])
def test_arrow_in_both_forms_and_as_datasets_writes_it(tmp_path, form):
    import datasets
    import pyarrow as pa

    rows = [{"q": f"é{number}", "m": [{"role": "user", "n": None}]} for number in range(2500)]
    path = tmp_path / "x.arrow"
    if form == "datasets":
        datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "set")
        path = tmp_path / "set" / "data-00000-of-00001.arrow"
    else:
        table = pa.Table.from_pylist(rows)
        with (pa.ipc.new_stream if form == "stream" else pa.ipc.new_file)(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=700)
    found, file = read(path)
    assert found == rows and not file.bad and not file.notes
    assert [(row.line, row.number) for row in read_rows(path, limit=2)] == [(0, 0), (0, 1)]


@pytest.mark.parametrize("text", ["a\n\nb\r\nc", "a\n", "\n\n", " a \n\tb\n", "中\u2028文\nx", "a\rb"])
def test_every_line_of_a_text_file_is_a_row_as_datasets_reads_it(tmp_path, text):
    import datasets

    path = write(tmp_path, "x.txt", text)
    wanted = datasets.load_dataset("text", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert read(path)[0] == [{"text": line} for line in wanted["text"]]
    assert [row.line for row in read_rows(path)] == list(range(1, len(wanted) + 1))


def test_a_wide_text_file_has_the_same_lines(tmp_path):
    assert read(write(tmp_path, "x.txt", "a\n\nb\n".encode("utf-16")))[0] == [
        {"text": "a"},
        {"text": ""},
        {"text": "b"},
    ]


def test_bad_lines_of_a_text_file_cost_no_other(tmp_path):
    found, file = read(write(tmp_path, "x.txt", b"a\n\xff\nb\0\n" + b"c" * 30))
    assert found == [{"text": "a"}, {"text": "c" * 30}]
    assert [(bad.code, bad.line, bad.column) for bad in file.bad] == [("data_not_utf8", 2, 1), ("data_nul", 3, 2)]


def everything(path: Path) -> tuple:
    """Rows with their places, bad rows and notes, or the error: all that a reader says of a file."""
    try:
        file = read_rows(path)
        return list(file), file.bad, dict(file.bad_counts), file.notes
    except DataError as error:
        return (error.problems,)


@pytest.mark.parametrize("piece", [3, 17, 64, 1 << 20])
def test_an_array_read_in_pieces_is_the_one_read_whole(tmp_path, monkeypatch, piece):
    """Also a damaged one: what the quick reader does not understand, the thorough one reads from the start."""
    from engine.data.readers import jsonrows, jsonstream

    sound = [
        b"[]", b" [ \r\n ] \n", b"\xef\xbb\xbf[" + LINE_A + b",\n\n" + LINE_B + b"\n]\n", b"[" + LINE_A + b"]",
        json.dumps([A, {"q": "\U0001f999 \u4e2d", "m": [{"x": [1, None]}, "a,{]"]}, B] * 40, indent=2).encode(),
        json.dumps([A, {"q": "\U0001f999", "a": "[{"}] * 9, ensure_ascii=False).encode(),
        b"[" + LINE_A + b",\r\n" + LINE_B + b"]", b"[" + LINE_A + b",\r" + LINE_B + b"]",
        b'[{"q": "\\ud83e\\udd99"}, {"q": "x"}]',
    ]  # fmt: skip
    broken = [
        b"[" + LINE_A, b"[" + LINE_A + b",", b"[" + LINE_A + b"]]", b"[" + LINE_A + b"] x", b"[" + LINE_A + b",]",
        b"[" + LINE_A + b" " + LINE_B + b"]", b"[1, 2]", b"[" + LINE_A + b", 5, " + LINE_B + b"]", b"[x",
        b"[" + LINE_A + b', {"q": 1, "q": 2}, ' + LINE_B + b"]", b'[{"q": NaN}, ' + LINE_B + b"]",
        b"[" + LINE_A + b', {"q": "\xff"}, ' + LINE_B + b"]", b'[{"q": "\\ud83e"}, ' + LINE_B + b"]",
        b"[" + LINE_A + b', {"q": "x" "y"}, ' + LINE_B + b"]", b"[" * 3 + LINE_A, b'[{"q": "abc', b"[\xef\xbb\xbf",
    ]  # fmt: skip
    for number, data in enumerate([*sound, *broken]):
        path = write(tmp_path, f"{number}.json", data)
        monkeypatch.setattr(jsonrows, "starts_array", lambda path, found: False)
        whole = everything(path)
        monkeypatch.setattr(jsonrows, "starts_array", jsonstream.starts_array)
        monkeypatch.setattr(jsonstream, "_PIECE", piece)
        assert everything(path) == whole, data


def test_a_row_longer_than_a_piece_and_one_too_long_for_pieces(tmp_path, monkeypatch):
    from engine.data.readers import jsonstream

    monkeypatch.setattr(jsonstream, "_PIECE", 100)
    monkeypatch.setattr(jsonstream, "_LONGEST", 5000)
    for length in (90, 450, 4000, 20000):
        rows = [A, {"q": "x" * length, "a": "y"}, B]
        assert read(write(tmp_path, "x.json", json.dumps(rows)))[0] == rows
