"""Record what LLaMA-Factory packs, splits and stores: run it with the Python that has llamafactory 0.9.5 installed.

    PYTHONPATH=. <its python> tests/golden/record_packing.py

Tokenises llamafactory/data with the tests' tiny tokenizer. Writes llamafactory/packing.json beside this file (check
sums of the columns of every row), and one of the folders it stored, llamafactory/tokenized_neat.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zlib
from pathlib import Path

from datasets import load_from_disk
from llamafactory.train.test_utils import load_dataset_module

from tests.unit.tiny_tokenizer import MARKS, tiny_tokenizer

HERE = Path(__file__).parent / "llamafactory"
SMALL = {"preprocessing_batch_size": 3}
CASES = [
    {"val_size": 0.3},
    {"val_size": 4, "seed": 7},
    {"packing": True, "cutoff_len": 700},
    {"packing": True, "cutoff_len": 300, **SMALL},
    {"packing": True, "cutoff_len": 300, "val_size": 5, "preprocessing_num_workers": 2, **SMALL},
    {"neat_packing": True, "cutoff_len": 500, "mask_history": True, "preprocessing_num_workers": 3, **SMALL},
    {"neat_packing": True, "cutoff_len": 120, "train_on_prompt": True, "preprocessing_batch_size": 5},
    {"dataset": "alpaca,sharegpt", "eval_dataset": "sharegpt,alpaca", "max_samples": 4},
    {"eval_dataset": "sharegpt,alpaca", "eval_on_each_dataset": True, "packing": True, "cutoff_len": 600},
    {"dataset": "alpaca,sharegpt", "mix_strategy": "interleave_over"},
    *({"template": "glm4", "dataset": name, "cutoff_len": cutoff, **more}
      for name in ("alpaca", "sharegpt") for cutoff in (2048, 90, 40)
      for more in ({}, {"mask_history": True})),
    {"template": "glm4", "packing": True, "cutoff_len": 200},
    {"predict_with_generate": True, "eval_dataset": "alpaca,sharegpt", "cutoff_len": 100},
    {"predict_with_generate": True, "eval_dataset": "alpaca,sharegpt", "template": "glm4"},
    {"predict_with_generate": True, "val_size": 0.4, "template": "glm4", "cutoff_len": 60, "packing": True},
]  # fmt: skip
STORED = {"neat_packing": True, "cutoff_len": 160, "val_size": 8}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model"
        tiny_tokenizer(special=MARKS, bos_token=None, eos_token="<|endoftext|>").save_pretrained(model)
        (model / "config.json").write_text('{"model_type": "llama"}')
        cases = []
        # neat_packing changes the types of columns for the rest of the process: those come last.
        for number, case in enumerate(sorted(CASES, key=lambda case: "neat_packing" in case)):
            folder = Path(scratch) / str(number)
            cases.append({"case": case, "splits": stored(model, case, folder)})
        neat = HERE / "tokenized_neat"
        shutil.rmtree(neat, ignore_errors=True)
        rows = stored(model, STORED, neat)
    for file in neat.glob("*/dataset_info.json"):  # without the name of the machine's folder
        info = json.loads(file.read_text(encoding="utf-8"))
        del info["download_checksums"]
        file.write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    stored_rows = json.dumps({"case": STORED, "splits": rows}, separators=(",", ":"))
    text = f'{{"cases":[\n{lines}\n],\n"stored":{stored_rows}}}\n'
    (HERE / "packing.json").write_text(text, encoding="utf-8")


def stored(model: Path, case: dict, folder: Path) -> dict[str, dict]:
    """{split: {column: [tokens, check sum] of every row}} of what LLaMA-Factory saves in `folder`."""
    settings = {
        "model_name_or_path": str(model), "stage": "sft", "do_train": True, "finetuning_type": "lora",
        "dataset_dir": str(HERE / "data"), "dataset": "alpaca", "template": "chatml", "output_dir": str(model / "out"),
        "report_to": "none", "overwrite_cache": True, "use_cpu": True, "tokenized_path": str(folder), **case,
    }  # fmt: skip
    load_dataset_module(**settings)
    splits = {}
    for split, rows in load_from_disk(str(folder)).items():
        lists = [name for name in rows.column_names if isinstance(rows[0][name], list)]
        splits[split] = {name: [[len(row), check(row)] for row in rows[name]] for name in lists}
    return splits


def check(values: list[int]) -> int:
    return zlib.crc32(",".join(map(str, values)).encode())


if __name__ == "__main__":
    sys.exit(main())
