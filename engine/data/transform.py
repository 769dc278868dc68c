"""`sft-wizard convert`: a table or a file of conversations into a registered alpaca or sharegpt dataset."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.data.calls import tools_text
from engine.data.chats import ChatStyle, message_turns
from engine.data.conversation import Turn
from engine.data.dropped import DroppedRowError
from engine.data.readers import Row, read_rows
from engine.data.registry import INFO_FILE, load_registry, register
from engine.data.roles import ROLES
from engine.data.shapes import check_mapping, recognise, required_members
from engine.data.tally import Tally, require_kept
from engine.data.turns import answer_of, history_turns, text_of
from engine.errors import ConfigError, DataError, EnvironmentProblem, Problem
from engine.storage import private_folder, write_whole

Record = dict[str, Any]
_NAME = re.compile(r"[^\W_][\w.-]*")
_NAMES_OF_ROLES = {"user": "human", "assistant": "gpt", "observation": "observation", "function": "function_call"}


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What `convert` did. `shape` is what the columns were recognised as (None: the user mapped them), `mapping` the
    columns used, `files` everything written, `datasets` the registered names and their rows."""

    source: Path
    shape: str | None
    mapping: dict[str, str]
    tally: Tally
    files: tuple[Path, ...]
    datasets: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "source": str(self.source),
            "shape": self.shape,
            "mapping": self.mapping,
            "rows": self.tally.as_dict(),
            "files": [str(path) for path in self.files],
            "datasets": self.datasets,
        }


def convert(
    source: Path,
    out_dir: Path,
    *,
    name: str,
    fmt: Literal["alpaca", "sharegpt"],
    mapping: dict[str, str],
    instruction: str | None = None,
    system: str | None = None,
    max_samples: int | None = None,
    test_split: float | int = 0,
    seed: int = 42,
    overwrite: bool = False,
) -> ConvertReport:
    """Writes `<name>_train.json` (and `<name>_test.json`) to `out_dir` and registers them in its dataset_info.json.

    `mapping` goes from prompt, query, response, system, history or messages to a column of `source`; empty, the
    columns are recognised by name. A constant `instruction` becomes the prompt, and the mapped prompt the query; a
    constant `system` serves rows that have none. `test_split` is a fraction below 1 or a count of rows, drawn with
    `seed`; both parts keep the order of the source. Nothing is written where anything is wrong: raises ConfigError,
    DataError or EnvironmentProblem.
    """
    _check_options(name, fmt, max_samples, test_split)
    file = read_rows(source, limit=max_samples)
    rows = list(file)
    tally = Tally(name, notes=list(file.notes))
    shape, mapping = _mapping(rows, mapping, instruction, str(source), tally)
    records = records_of(rows, mapping, fmt, tally=tally, instruction=instruction, system=system)
    tally.merge_unread(file.bad, file.bad_counts, [str(source)])
    require_kept(tally, str(source))
    extras = _trim(records)
    parts = {f"{name}_{part}": chosen for part, chosen in _split(records, test_split, seed).items()}
    files = _write(out_dir, parts, _entry(fmt, extras), overwrite)
    return ConvertReport(source, shape, mapping, tally, files, {part: len(chosen) for part, chosen in parts.items()})


def _check_options(name: str, fmt: str, max_samples: int | None, test_split: float) -> None:
    problems = []
    if not _NAME.fullmatch(name):
        problems.append(Problem("convert_name", {"name": name}, "name"))
    if fmt not in ("alpaca", "sharegpt"):
        problems.append(Problem("convert_format", {"format": fmt}, "format"))
    if max_samples is not None and max_samples < 1:
        problems.append(Problem("convert_max_samples", {"value": max_samples}, "max_samples"))
    if not math.isfinite(test_split) or test_split < 0 or (test_split >= 1 and test_split != int(test_split)):
        problems.append(Problem("convert_test_split", {"value": str(test_split), "rows": "any"}, "test_split"))
    if problems:
        raise ConfigError(*problems)


def _mapping(
    rows: Sequence[Row], given: dict[str, str], instruction: str | None, file: str, tally: Tally
) -> tuple[str | None, dict[str, str]]:
    columns = list(dict.fromkeys(column for row in rows for column in row.values))
    shape = None
    if not given and rows:
        recognised = recognise(columns, rows)
        if recognised is None:
            raise DataError(Problem("convert_not_recognised", {"columns": columns}, None, file))
        shape, given = recognised
        shown = ", ".join(f"{target} = {column}" for target, column in given.items())
        tally.notes.append(
            Problem("convert_recognised", {"shape": shape, "mapping": shown}, None, file, severity="note")
        )
    if rows:
        check_mapping(given, columns, instruction, file)
    return shape, given


def records_of(
    rows: Sequence[Row],
    mapping: dict[str, str],
    fmt: str,
    *,
    tally: Tally,
    instruction: str | None = None,
    system: str | None = None,
) -> list[Record]:
    """The rows as alpaca or sharegpt records; what cannot be used is counted in `tally`."""
    records = []
    messages = mapping.get("messages")
    members = required_members(rows, messages, rows[0].file) if messages is not None and rows else ("", "")
    for row in rows:
        try:
            if messages is None:
                record = _from_columns(row.values, mapping, fmt, instruction)
            else:
                record = _from_messages(row.values, messages, members, fmt)
            record["system"] = record["system"] or text_of(row.values, mapping.get("system")) or system or ""
        except DroppedRowError as dropped:
            tally.drop(dropped.problem(row))
        else:
            records.append(record)
    tally.read += len(records)
    tally.kept = len(records)
    empty = sum(
        1 for record in records if not (record.get("output") or record.get("conversations", [{}])[-1].get("value"))
    )
    if empty:
        tally.notes.append(Problem("convert_empty_responses", {"rows": empty}, None, rows[0].file, severity="warning"))
    return records


def _from_columns(values: Record, mapping: dict[str, str], fmt: str, instruction: str | None) -> Record:
    prompt, query = text_of(values, mapping.get("prompt")), text_of(values, mapping.get("query"))
    if instruction:
        prompt, query = instruction, _joined(prompt, query)
    answer = answer_of(values, mapping["response"])
    history = history_turns(values.get(mapping["history"]), mapping["history"]) if "history" in mapping else []
    if fmt == "alpaca":
        return {"instruction": prompt, "input": query, "output": answer, "history": _pairs(history), "system": ""}
    said = [*history, Turn("user", _joined(prompt, query)), Turn("assistant", answer)]
    return {"conversations": _messages(said), "system": "", "tools": ""}


def _from_messages(values: Record, column: str, members: tuple[str, str], fmt: str) -> Record:
    system, turns = message_turns(values.get(column), column, ChatStyle(members, ROLES, openai=True))
    tools = values.get("tools")
    if isinstance(tools, list | dict):
        tools = tools_text(tools, strict=False)
    tools = text_of({"tools": tools or None}, "tools")
    if fmt == "sharegpt":
        return {"conversations": _messages(turns), "system": system or "", "tools": tools}
    special = next(
        (turn.role for turn in turns if turn.role in ("function", "observation")), "tools" if tools else None
    )
    if special is not None:
        raise DroppedRowError("convert_row_tool_turns", column, role=special)
    if any(turn.learn is False for turn in turns):
        raise DroppedRowError("convert_row_flags", column)
    *past, asked, answer = turns
    pairs = _pairs(past)
    return {
        "instruction": asked.content,
        "input": "",
        "output": answer.content,
        "history": pairs,
        "system": system or "",
    }


def _joined(*texts: str) -> str:
    return "\n".join(text for text in texts if text)


def _pairs(turns: Sequence[Any]) -> list[list[str]]:
    return [[asked.content, answer.content] for asked, answer in zip(turns[::2], turns[1::2], strict=True)]


def _messages(turns: Sequence[Turn]) -> list[Record]:
    return [
        {"from": _NAMES_OF_ROLES[turn.role], "value": turn.content}
        | ({"loss": turn.learn} if turn.learn is not None else {})
        for turn in turns
    ]


def _trim(records: list[Record]) -> list[str]:
    """Removes system, history and tools where no record has any; returns those that stay."""
    kept = []
    for field in ("system", "history", "tools"):
        if any(record.get(field) for record in records):
            kept.append(field)
        else:
            for record in records:
                record.pop(field, None)
    return kept


def _entry(fmt: str, extras: list[str]) -> dict[str, Any]:
    own = {field: field for field in extras}
    if fmt == "sharegpt":
        return {"formatting": "sharegpt", "columns": {"messages": "conversations", **own}}
    return {"columns": {"prompt": "instruction", "query": "input", "response": "output", **own}}


def _split(records: list[Record], test_split: float, seed: int) -> dict[str, list[Record]]:
    if not test_split:
        return {"train": records}
    total = len(records)
    count = int(test_split) if test_split >= 1 else math.ceil(total * test_split - 1e-9)
    if count >= total:
        raise DataError(Problem("convert_test_split", {"value": str(test_split), "rows": total}, "test_split"))
    order = list(range(total))
    random.Random(seed).shuffle(order)
    test = set(order[:count])
    return {
        "train": [record for place, record in enumerate(records) if place not in test],
        "test": [record for place, record in enumerate(records) if place in test],
    }


def _write(out_dir: Path, parts: dict[str, list[Record]], entry: dict[str, Any], overwrite: bool) -> tuple[Path, ...]:
    """Looks for everything in the way first, then writes the data (0600: it holds samples) and registers it."""
    texts = {
        out_dir / f"{name}.json": json.dumps(part, ensure_ascii=False, indent=2) + "\n" for name, part in parts.items()
    }
    entries = {name: {"file_name": f"{name}.json", **entry} for name in parts}
    info = out_dir / INFO_FILE
    try:
        registered = load_registry(out_dir).entries if info.exists() else {}
        if not overwrite:
            problems = [
                Problem("convert_file_exists", {}, None, str(path))
                for path, text in texts.items()
                if path.exists() and path.read_bytes() != text.encode()
            ]
            problems += [
                Problem("convert_entry_exists", {"name": name}, name, str(info))
                for name, described in entries.items()
                if registered.get(name, described) != described
            ]
            if problems:
                raise ConfigError(*problems)
        private_folder(out_dir)
        for path, text in texts.items():
            write_whole(path, text)
        for name, described in entries.items():
            if registered.get(name) != described:
                register(out_dir, name, described)
    except OSError as error:
        raise EnvironmentProblem(Problem("convert_write_failed", {"reason": str(error)}, None, str(out_dir))) from error
    return (*texts, info)
