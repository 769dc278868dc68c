"""Columns that are still to be chosen, wide tables, and several registered sets as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.config.jobs import load_job
from engine.wizard.columns import few
from engine.wizard.session import Wizard
from tests.unit.wizards import HereDesk, begun, look, quiet


@pytest.fixture(autouse=True)
def home(private_home: Path) -> None:
    """No model of the person who runs the tests."""


def codes(wizard: Wizard) -> list[str]:
    return [problem.code for problem in wizard.problems("data")]


def test_what_is_still_to_be_chosen_is_said_in_the_questions_words(tmp_path: Path) -> None:
    """One column of texts needs an instruction for every row instead of a question."""
    (tmp_path / "one.csv").write_text("text\nhello\nworld\n")
    wizard = begun(tmp_path, data="file", data_file="one.csv")
    assert codes(wizard) == ["columns_unknown"]
    assert wizard.answer("map_prompt", "text") == [] and codes(wizard) == ["column_of_response"]
    assert wizard.answer("map_prompt", None) == [] and wizard.answer("map_response", "text") == []
    assert codes(wizard) == ["column_of_prompt"]
    assert wizard.answer("instruction", "Say something.") == []
    look(wizard)
    assert codes(wizard) == [] and wizard.preview() == [("user", "Say something."), ("assistant", "hello")]


def test_a_wide_table_is_told_in_a_line(tmp_path: Path) -> None:
    """Nobody reads two hundred names."""
    names = [f"c{number}" for number in range(200)]
    (tmp_path / "wide.csv").write_text(",".join(names) + "\n" + ",".join("x" for _ in names) + "\n")
    wizard = begun(tmp_path, data="file", data_file="wide.csv")
    assert wizard.problems("data")[0].params["columns"] == [*names[:8], "… (+192)"]
    assert wizard.about("data")[0].say() == "1 rows, with the columns c0, c1, c2, c3, c4, c5, c6, c7, … (+192)."
    assert few(["a", "b"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("bom.csv", b"\xef\xbb\xbfinstruction,output\na,b\n", []),
        ("long.jsonl", json.dumps({"instruction": "x" * 100_000, "output": "y"}).encode() + b"\n", []),
        ("half.jsonl", b'{"instruction": "a", "output": "b"}\n{"instruction": "a", \n', []),
        ("empty.csv", b"", ["data_file_empty"]),
        (
            "latin.csv",
            "instruction,output\nCaf\u00e9,Ol\u00e9\n".encode("latin-1"),
            ["dataset_no_usable_row", "row_bytes"],
        ),
        ("nested.json", b'[{"meta": {"id": 1}, "data": {"q": "a"}}]', ["columns_unknown"]),
        ("tags.json", b'[{"dialog": [{"speaker": "human", "text": "hi"}]}]', ["columns_unknown"]),
        (
            "openai.jsonl",
            b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n',
            [],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_ugly_files(name: str, raw: bytes, expected: list[str], tmp_path: Path) -> None:
    """Each is read, or says in words why not; nothing ends the wizard."""
    (tmp_path / name).write_bytes(raw)
    wizard = begun(tmp_path, data="file", data_file=name)
    found = codes(wizard)
    assert found[:1] == expected[:1] and bool(found) == bool(expected)
    if not expected:
        assert wizard.preview()


def test_several_registered_sets_are_one(tmp_path: Path) -> None:
    """Their names with commas; the run mixes them, and LLaMA-Factory would as well."""
    for name, rows in (("a", 2), ("b", 3)):
        (tmp_path / f"{name}.json").write_text(json.dumps([{"instruction": name, "output": "x"}] * rows))
    info = {"a": {"file_name": "a.json"}, "b": {"file_name": "b.json"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    wizard = begun(tmp_path, data="several")
    assert codes(wizard) == ["answer_empty"] and wizard.project().registered is None
    problem = wizard.answer("sets", "a, c")[0]
    assert (problem.code, problem.params) == ("sets_unknown", {"name": "c", "known": ["a", "b"]})
    assert wizard.answer("sets", "a, b") == []
    look(wizard)
    assert codes(wizard) == [] and wizard.about("data")[0].say().startswith("5 rows, ")
    HereDesk().start(wizard, quiet)
    job = load_job(wizard.folder() / "config.yaml")
    assert job.train is not None and job.train.config.dataset == "a,b"
