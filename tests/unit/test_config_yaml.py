"""The YAML dialect: what a user of LLaMA-Factory wrote must mean the same here, and no file may hang or fool us."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from engine.config.reading import MAX_BYTES, dump, parse_document, parse_value, read_document
from engine.errors import ConfigError, Problem


def read(text: str) -> Any:
    return parse_document(f"a: {text}\n", "f.yaml").values["a"]


def refusal(text: str) -> Problem:
    """The one problem of a document; each names the file and a line."""
    with pytest.raises(ConfigError) as caught:
        parse_document(text, "f.yaml")
    (problem,) = caught.value.problems
    assert problem.file == "f.yaml"
    assert problem.line is not None
    return problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 0.0001),  # PyYAML reads text here, and the run dies an hour later
        ("1.0e-4", 0.0001),
        ("5E-5", 0.00005),
        ("1e+3", 1000.0),
        ("-2.5", -2.5),
        (".5", 0.5),
        ("10_000", 10_000),
        ("0o17", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("none", "none"),
        ("None", "None"),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", True),
        ("no", False),
        ("on", True),
        ("off", False),
        ("True", True),
        ("y", "y"),
        ("1:30", "1:30"),  # 90 to YAML 1.1
        ("2024-01-02", "2024-01-02"),
        ("08", "08"),
        ("=", "="),
        ("${b}", "${b}"),
        ('"1e-4"', "1e-4"),
        ("'no'", "no"),
        ("q_proj,v_proj", "q_proj,v_proj"),
        ("[1, 1e-3, no]", [1, 0.001, False]),
    ],
)
def test_scalars_mean_what_llamafactory_takes_them_for(text: str, value: Any) -> None:
    found = read(text)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_and_infinity_are_numbers_for_the_bounds_to_refuse() -> None:
    assert read(".inf") == float("inf")
    assert read(".nan") != read(".nan")


def test_json_windows_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    assert parse_document('{"a": 1, "b": [1.5, true, null]}').values == {"a": 1, "b": [1.5, True, None]}
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xef\xbb\xbflearning_rate: 1e-4\r\nbf16: true\r\n")
    assert read_document(file).values == {"learning_rate": 0.0001, "bf16": True}


def test_a_json_config_is_read_as_json_with_its_lines(tmp_path: Path) -> None:
    """Editors indent JSON by tabs, which YAML takes nowhere; Python writes characters beyond 16 bits as pairs."""
    values = {"template": "auto", "learning_rate": 1e-4, "run_name": "🦙\t", "data": {"a": [1, None, "no"]}}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(values, indent="\t"))
    document = read_document(file)
    assert document.values == values
    assert (document.line("learning_rate"), document.line("data", "a")) == (3, 6)
    file.write_text('{\n\t"a": 1,\n\t"a": 2\n}')
    with pytest.raises(ConfigError) as caught:
        read_document(file)
    assert (caught.value.problems[0].code, caught.value.problems[0].line) == ("duplicate_key", 3)


def test_lines_are_those_of_the_file() -> None:
    document = parse_document("# comment\na: 1\n\nb:\n  c: 2\n  d: [3,\n    4]\n", "f.yaml")
    assert [document.line("a"), document.line("b"), document.line("b", "c")] == [2, 4, 5]
    assert document.inner("b").line("d") == 6
    assert document.line("absent") is None


def test_a_key_that_stands_twice_names_both_lines() -> None:
    problem = refusal("a: 1\nb: 2\na: 3\n")
    assert (problem.code, problem.key, problem.line, problem.params["first"]) == ("duplicate_key", "a", 3, 1)
    inner = refusal("a:\n  b: 1\n  c: 1\n  b: 2\n")
    assert (inner.code, inner.line, inner.params["first"]) == ("duplicate_key", 4, 2)


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system [touch /tmp/owned]",
        "a: !!python/name:os.system",
        "a: !!python/tuple [1]",
        "!!python/object:os.x\na: 1",
        "a: !mine 1",
        "a: !mine [1]",
        "a: !mine {b: 1}",
        "a: !!timestamp 2024-01-02",
        "a: !!binary aGk=",
        "a: !!set {b: null}",
        "a: !!omap [b: 1]",
        "a: !!seq x",
        "a: !!int x",
        "a: !!bool maybe",
        "a: !!float x",
    ],
)
def test_tags_construct_nothing_and_are_never_dropped_in_silence(text: str) -> None:
    assert refusal(text).code == "yaml_syntax"


def test_plain_tags_say_what_a_value_is() -> None:
    assert read("!!str 5") == "5"
    assert read("!!int 5") == 5


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: c: d\n", 2),
        ("a:\n\tb: 1\n", 2),
        ('a: 1\nb: "x\n', 3),
        ("a: *nope\n", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: 1\n? [1]\n: 2\n", 2),
        ("a: 1\nb: \x00\n", 2),
        ("a: 1\nb: \x1b[31m\n", 2),
        ("a: 1\nb: " + "9" * 5000 + "\n", 2),
    ],
)
def test_a_file_that_does_not_parse_is_told_with_its_line(text: str, line: int) -> None:
    problem = refusal(text)
    assert (problem.code, problem.line) == ("yaml_syntax", line)
    assert problem.params["reason"]


def test_an_alias_bomb_meets_a_limit_quickly() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for above, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{','.join([f'*{above}'] * 9)}]")
    start = time.monotonic()
    assert refusal("\n".join(lines)).code == "yaml_too_many"
    assert time.monotonic() - start < 5


def test_an_alias_of_a_few_values_works() -> None:
    assert parse_document("a: &a [1, 2]\nb: *a\n").values == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize("text", ["a: &x [*x]", "a: &x {b: *x}", "a: &x\n- *x\n"])
def test_an_alias_of_itself_ends(text: str) -> None:
    assert refusal(text).code == "yaml_too_deep"


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 20_000,
        "a: " + "{a: " * 20_000,
        "a: " + "[" * 21 + "]" * 21,
        "\n".join(" " * depth + "a:" for depth in range(1200)),
    ],
)
def test_deep_nesting_is_a_problem_not_a_crash(text: str) -> None:
    assert refusal(text).code == "yaml_too_deep"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n"])
def test_an_empty_file(text: str) -> None:
    assert refusal(text).code == "config_empty"


@pytest.mark.parametrize(("text", "found"), [("- a\n- b\n", "a list"), ("[1]", "a list"), ("words", "text")])
def test_a_file_without_keys(text: str, found: str) -> None:
    problem = refusal(text)
    assert (problem.code, str(problem.params["found"])) == ("config_not_mapping", found)


def problem_of(file: Path) -> Problem:
    with pytest.raises(ConfigError) as caught:
        read_document(file)
    return caught.value.problems[0]


def test_files_that_cannot_be_configs(tmp_path: Path) -> None:
    big = tmp_path / "big.yaml"
    big.write_text("a: " + "x" * MAX_BYTES)
    assert problem_of(big).code == "file_too_large"
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    problem = problem_of(latin)
    assert (problem.code, problem.line, problem.params["offset"]) == ("not_utf8", 2, 11)
    assert all(problem_of(file).file == str(file) for file in (big, latin))


def test_a_wrong_path_lists_the_configs_near_there(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train_config.yaml").write_text("a: 1")
    missing = problem_of(tmp_path / "trian.yaml")
    assert missing.code == "file_missing"
    assert str(tmp_path / "configs" / "train_config.yaml") in missing.params["near"]
    folder = problem_of(tmp_path)
    assert (folder.code, folder.params["near"]) == ("file_is_folder", missing.params["near"])


def test_set_reads_values_as_a_file_does() -> None:
    assert [parse_value(text) for text in ("1e-4", "no", "none", "", "[a, b]")] == [
        0.0001,
        False,
        "none",
        None,
        ["a", "b"],
    ]
    with pytest.raises(ConfigError) as caught:
        parse_value("[a")
    assert caught.value.problems[0].file == "--set"


@pytest.mark.parametrize(
    "text", ["1e-4", "0o17", "no", "null", "1:30", "2024-01-02", "=", "", "# x", "caf\u00e9", "\x07"]
)
def test_a_resolved_config_keeps_text_as_text(text: str) -> None:
    """A run named 1e-4 would otherwise come back from its own run folder as a number and be refused."""
    values = {"run_name": text, "rates": [1e-4, 1e-5, 3], "on": True, "none": None}
    assert parse_document(dump(values)).values == values
