"""Record what LLaMA-Factory makes of odd rows before any template: run it with the Python that has it installed.

    <its python> tests/golden/record_formats.py

Reads llamafactory/formats_rows.json, writes llamafactory/formats_messages.json (messages, system and tools of every
row, or the error) and llamafactory/formats_picked.json (num_samples, split and mixing by row number) beside this file.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from datasets import Dataset
from llamafactory.data.converter import get_dataset_converter
from llamafactory.data.data_utils import merge_dataset
from llamafactory.data.loader import _load_single_dataset
from llamafactory.data.parser import DatasetAttr, get_dataset_list

HERE = Path(__file__).parent / "llamafactory"
PICKS = [
    {"num_samples": 4}, {"num_samples": 12}, {"num_samples": 27}, {"num_samples": 8, "split": "train[:50%]"},
    {"split": "train[:25%]"}, {"split": "train[3:-2]"}, {"split": "train[-4:]+train[:2]"}, {"split": "train[10%:33%]"},
    {"split": "train[:1]+train[95%:]"}, {"num_samples": 5, "max_samples": 3},
]  # fmt: skip
MIXES = [
    {"lengths": lengths, "strategy": strategy, "probs": probs, "seed": seed}
    for lengths, probs in (
        ([3, 10], None), ([4, 4, 4], None), ([5, 2, 9], None), ([3, 10], [0.5, 0.5]), ([30, 100, 7], [0.7, 0.1, 0.2]),
        ([900, 1500], [0.3, 0.7]),
    )
    for strategy in ("concat", "interleave_under", "interleave_over")
    for seed in (42, 7)
]  # fmt: skip


def main() -> None:
    cases = json.loads((HERE / "formats_rows.json").read_text(encoding="utf-8"))
    write("formats_messages.json", [[converted(case["entry"], row) for row in case["rows"]] for case in cases])
    write("formats_picked.json", {"picks": picks(), "mixes": [mixed(mix) for mix in MIXES]})


def converted(entry: dict, row: dict) -> dict:
    """The converter applied to a row as it stands, without Arrow in between."""
    attr = DatasetAttr("file", "rows")
    attr.join(entry)
    columns = [
        getattr(attr, part) for part in ("prompt", "query", "response", "history", "messages", "system", "tools")
    ]
    filled = {**{name: None for name in columns if name}, **row}
    try:
        found = get_dataset_converter(attr.formatting, attr, SimpleNamespace())(filled)
    except Exception as error:
        return {"error": type(error).__name__}
    messages = found["_prompt"] + found["_response"]
    if len(found["_prompt"]) % 2 != 1 or len(found["_response"]) != 1:  # what its tokenising leaves out
        return {"dropped": True}
    return {"messages": messages, "system": found["_system"], "tools": found["_tools"]}


def picks() -> list[dict]:
    """Row numbers that its loader takes of a set of 20, drawn one after another from one seed."""
    with tempfile.TemporaryDirectory() as scratch:
        rows = [{"instruction": str(number), "input": "", "output": "a"} for number in range(20)]
        (Path(scratch) / "rows.json").write_text(json.dumps(rows))
        np.random.seed(42)
        recorded = []
        for pick in PICKS:
            info = {"rows": {"file_name": "rows.json", **pick}}
            info["rows"].pop("max_samples", None)
            (Path(scratch) / "dataset_info.json").write_text(json.dumps(info))
            [attr] = get_dataset_list(["rows"], scratch)
            data = SimpleNamespace(
                dataset_dir=scratch, preprocessing_num_workers=None, streaming=False, overwrite_cache=True,
                max_samples=pick.get("max_samples"), media_dir=scratch,
            )  # fmt: skip
            model = SimpleNamespace(cache_dir=str(Path(scratch) / "cache"), hf_hub_token=None)
            training = SimpleNamespace(local_process_index=0, dataloader_num_workers=0)
            loaded = _load_single_dataset(attr, model, data, training)
            recorded.append({**pick, "rows": [int(row["_prompt"][0]["content"]) for row in loaded]})
    return recorded


def mixed(mix: dict) -> dict:
    sets = [
        Dataset.from_dict({"place": [[which, place] for place in range(length)]})
        for which, length in enumerate(mix["lengths"])
    ]
    data = SimpleNamespace(mix_strategy=mix["strategy"], interleave_probs=mix["probs"], streaming=False)
    order = list(merge_dataset(sets, data, mix["seed"])["place"])
    text = json.dumps(order)
    if len(order) > 200:  # the beginning, the length and the end tell
        return {**mix, "order": order[:150], "length": len(order), "last": order[-5:]}
    return {**mix, "order": json.loads(text), "length": len(order), "last": order[-5:]}


def write(name: str, value: object) -> None:
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in value) if isinstance(value, list) else None
    text = f"[\n{lines}\n]\n" if lines is not None else json.dumps(value, ensure_ascii=False) + "\n"
    (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
