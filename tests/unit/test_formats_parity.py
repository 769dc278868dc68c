"""Conversations and picked rows are those of LLaMA-Factory 0.9.5 (recorded by tests/golden/record_formats.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.conversation import Conversation
from engine.data.entries import DatasetEntry
from engine.data.formats import conversations, load_samples
from engine.data.mixing import mix
from engine.data.readers import Row
from engine.data.registry import load_registry
from engine.errors import Problem

GOLDEN = Path(__file__).parents[1] / "golden" / "llamafactory"
CASES = json.loads((GOLDEN / "formats_rows.json").read_text("utf-8"))
RECORDED = json.loads((GOLDEN / "formats_messages.json").read_text("utf-8"))
PICKED = json.loads((GOLDEN / "formats_picked.json").read_text("utf-8"))
EVERYTHING = ("instruction", "input", "output", "q", "c", "a", "s", "h", "t", "m", "messages", "system", "tools")


def entry(folder: Path, info: dict[str, Any]) -> DatasetEntry:
    (folder / "rows.json").write_text("[]") if not (folder / "rows.json").exists() else None
    (folder / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json", **info}}))
    return load_registry(folder).resolve(["rows"])[0]


def made(folder: Path, case: dict[str, Any], strict: bool) -> list[dict[str, Any]]:
    rows = [Row(row, "rows.json", 1, number) for number, row in enumerate(case["rows"])]
    names = [*EVERYTHING, *(["conversations"] if "columns" not in case["entry"] else [])]
    if case["entry"].get("formatting") == "openai" and "columns" not in case["entry"]:
        names.remove("messages")  # without `columns` the first name that is there is taken
    filler = Row(dict.fromkeys(names), "rows.json", 9, 999)  # so that no column counts as missing
    items = list(conversations([*rows, filler], entry(folder, case["entry"]), strict=strict))[:-1]
    return [{"dropped": True} if isinstance(item, Problem) else plain(item.conversation) for item in items]


def plain(conversation: Conversation) -> dict[str, Any]:
    messages = [{"role": turn.role, "content": turn.content} for turn in conversation.turns]
    return {"messages": messages, "system": conversation.system, "tools": conversation.tools}


def without_null(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Its converters pass nulls on; templates treat them as empty text."""
    return [{key: "" if value is None else value for key, value in row.items()} for row in rows]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_strict_conversations_are_its_own(tmp_path, number):
    assert made(tmp_path, CASES[number], strict=True) == without_null(RECORDED[number])


@pytest.mark.parametrize("number", [n for n, case in enumerate(CASES) if case["entry"].get("formatting") != "openai"])
def test_alpaca_and_sharegpt_are_its_own_without_strict_too(tmp_path, number):
    assert made(tmp_path, CASES[number], strict=False) == without_null(RECORDED[number])


def test_openai_rows_differ_in_what_is_a_bug_there_and_nothing_else(tmp_path):
    case, recorded = CASES[-1], without_null(RECORDED[-1])
    differing = {"system": 0, "tools": 0, "join": 0, "arguments": 0}
    for row, ours, theirs in zip(case["rows"], made(tmp_path, case, strict=False), recorded, strict=True):
        if "messages" not in theirs:
            assert ours == theirs
            continue
        first = row["messages"][0]
        own = first["content"] if first["role"] == "system" else row.get("system", "")
        assert ours["system"] == own
        differing["system"] += own != theirs["system"]
        for mine, other in zip(ours["messages"], theirs["messages"], strict=True):
            if mine != other and mine["role"] == "observation":
                assert mine["content"] == other["content"].replace("\n</tool_response>\n<tool_response>\n", "\n")
                differing["join"] += 1
            elif mine != other:
                assert json.loads(mine["content"])[0]["arguments"] == {"x": 1}
                assert json.loads(other["content"])[0]["arguments"] == '{"x": 1}'
                differing["arguments"] += 1
        if ours["tools"] != theirs["tools"]:  # one tool is a list of one, no tool no list
            assert (ours["tools"], theirs["tools"]) in [('[{"name": "é"}]', '{"name": "é"}'), ("", "[]")]
            differing["tools"] += 1
    assert differing == {"system": 10, "tools": 2, "join": 1, "arguments": 1}


def test_split_num_samples_and_max_samples_take_the_rows_it_takes(tmp_path):
    """One generator for all sets, in order, as its loader uses numpy's global one."""
    rows = [{"instruction": str(number), "input": "", "output": "a"} for number in range(20)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    draw = np.random.RandomState(42)
    for pick in PICKED["picks"]:
        info = {key: value for key, value in pick.items() if key in ("num_samples", "split")}
        samples, tally = load_samples(entry(tmp_path, info), pick.get("max_samples"), draw=draw)
        assert [int(sample.conversation.turns[0].content) for sample in samples] == pick["rows"]
        assert [sample.origin.row for sample in samples] == pick["rows"]
        assert tally.read == tally.kept == len(pick["rows"])


@pytest.mark.parametrize("recorded", PICKED["mixes"], ids=lambda m: f"{m['strategy']}-{m['lengths']}-{m['seed']}")
def test_sets_are_mixed_in_its_order(recorded):
    lists = [[[which, place] for place in range(length)] for which, length in enumerate(recorded["lengths"])]
    order = mix(lists, recorded["strategy"], recorded["probs"], recorded["seed"])
    assert (len(order), order[-5:]) == (recorded["length"], recorded["last"])
    assert order[: len(recorded["order"])] == recorded["order"]
