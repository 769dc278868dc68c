"""100,000 rows to tokens: LLaMA-Factory's preprocessing and ours, with the same number of workers.

    python -m benchmarks.tokenize --data FOLDER --model FOLDER --llamafactory PYTHON [--rows 100000] [--workers 2]

--data holds alpaca_en_demo.json, alpaca_zh_demo.json and glaive_toolcall_en_demo.json of LLaMA-Factory's repository;
--llamafactory is the Python of a venv where llamafactory 0.9.5 is installed. Both read the same files anew in fresh
processes, one after the other. Timed is what turns files into tokens: load_dataset_module there (reading, converting,
tokenising; loading the tokenizer is part of it, importing libraries is not), prepare here (the same). Memory is the
peak of the resident memory of the whole process tree, its shared pages counted once (PSS). Ours is started a second
time with the same input, and once more with template: auto, which LLaMA-Factory does not have. The tokens of both are
compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
THEIRS = """
import json, os, sys, time
settings = json.load(sys.stdin)
from llamafactory.train.test_utils import load_dataset_module
from llamafactory.hparams import get_train_args
import zlib
started, before = time.perf_counter(), sum(os.times()[:4])
rows = load_dataset_module(**settings)["train_dataset"]
seconds, cpu = time.perf_counter() - started, sum(os.times()[:4]) - before
names = ("input_ids", "labels")
total, sums = 0, {}
columns = {name: rows.data.column(name) for name in names}
for name, column in columns.items():
    values = [chunk.flatten().to_numpy().astype("int32") for chunk in column.chunks]
    total, check = sum(map(len, values)), 0
    for part in values:
        check = zlib.crc32(part.tobytes(), check)
    sums[name] = check
print("RESULT " + json.dumps({"seconds": seconds, "cpu": cpu, "rows": len(rows), "tokens": total, "sums": sums}))
"""
OURS = """
import json, os, sys, time
settings = json.load(sys.stdin)
started = time.perf_counter()
import msgspec, zlib
from pathlib import Path
from engine.config.schema import TrainConfig
from engine.data.prepare import data_files, prepare
import torch
from transformers import AutoTokenizer
AutoTokenizer.from_pretrained(settings["model_name_or_path"]).get_chat_template()  # imports on the way
imported = time.perf_counter() - started
config = msgspec.convert(settings, TrainConfig)
model = Path(config.model_name_or_path)
started, before = time.perf_counter(), sum(os.times()[:4])
hashes = data_files(config)
found = prepare(config, model, hashes=hashes, progress=lambda *_: None, should_stop=lambda: False)
seconds, cpu = time.perf_counter() - started, sum(os.times()[:4]) - before
train = found.train
sums = {name: zlib.crc32(getattr(train, name).tobytes()) for name in ("input_ids", "labels")}
print("RESULT " + json.dumps({"seconds": seconds, "cpu": cpu, "rows": len(train), "tokens": len(train.input_ids),
                              "sums": sums, "cached": found.from_cache, "imports": imported}))
"""


def write_rows(source: Path, into: Path, count: int) -> None:
    """Varied rows: those of the demo sets, their sentences in another order and with a number, so that none repeats."""
    draw = random.Random(0)
    alpaca = [
        row
        for name in ("alpaca_en_demo.json", "alpaca_zh_demo.json")
        for row in json.loads((source / name).read_text())
    ]
    tools = json.loads((source / "glaive_toolcall_en_demo.json").read_text())
    varied = []
    for number in range(count * 9 // 10):
        row = dict(draw.choice(alpaca))
        sentences = re.split(r"(?<=[.。!?！？\n])", row["output"])
        draw.shuffle(sentences)
        varied.append({**row, "instruction": f"{number}. {row['instruction']}", "output": "".join(sentences)})
    calls = []
    for number in range(count - len(varied)):
        row = draw.choice(tools)
        first, *rest = row["conversations"]
        calls.append({**row, "conversations": [{**first, "value": f"{first['value']} ({number})"}, *rest]})
    into.mkdir()
    (into / "plain.json").write_text(json.dumps(varied, ensure_ascii=False), encoding="utf-8")
    (into / "calls.json").write_text(json.dumps(calls, ensure_ascii=False), encoding="utf-8")
    info = {
        "plain": {"file_name": "plain.json"},
        "calls": {
            "file_name": "calls.json",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "tools": "tools"},
        },
    }
    (into / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")


def run(python: str, code: str, settings: dict[str, Any], home: Path) -> dict[str, Any]:
    """The RESULT of a fresh process, with the peak memory of its tree in bytes and its whole wall time in seconds."""
    surroundings = {
        **os.environ, "HF_HOME": str(home / "hf"), "XDG_CACHE_HOME": str(home / "cache"), "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "true",
    }  # fmt: skip
    started = time.perf_counter()
    process = subprocess.Popen(
        [python, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=surroundings, cwd=home,
    )  # fmt: skip
    peak = Peak(process.pid)
    out, err = process.communicate(json.dumps(settings))
    wall = time.perf_counter() - started
    lines = [line for line in out.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(err[-3000:])
    return {**json.loads(lines[0][7:]), "wall": wall, "peak": peak.stop()}


class Peak:
    """Watches the memory of a process and its children, five times a second."""

    def __init__(self, pid: int):
        self.bytes = 0
        self._process = psutil.Process(pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            try:
                family = [self._process, *self._process.children(recursive=True)]
            except psutil.Error:
                return
            total = 0
            for member in family:
                try:
                    total += member.memory_full_info().pss
                except psutil.Error:
                    continue
            self.bytes = max(self.bytes, total)

    def stop(self) -> int:
        """The peak in bytes."""
        self._done.set()
        self._thread.join()
        return self.bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--data", "--model"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--llamafactory", help="Python with llamafactory 0.9.5; without it, ours only")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default=f"{os.cpu_count()} CPU cores", help="what to write about the machine")
    parser.add_argument("--out", type=Path, help="write the table here")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        write_rows(asked.data, home / "data", asked.rows)
        settings = {
            "model_name_or_path": str(asked.model.resolve()), "stage": "sft", "do_train": True,
            "finetuning_type": "lora", "dataset_dir": str(home / "data"), "dataset": "plain,calls",
            "template": "chatml", "cutoff_len": 2048, "preprocessing_num_workers": asked.workers,
            "output_dir": str(home / "out"), "report_to": "none", "use_cpu": True,
        }  # fmt: skip
        results = {}
        if asked.llamafactory:
            results["LLaMA-Factory 0.9.5"] = run(asked.llamafactory, THEIRS, settings, home)
        results["sft-wizard"] = run(sys.executable, OURS, settings, home)
        results["sft-wizard, second start"] = run(sys.executable, OURS, settings, home)
        results["sft-wizard, template: auto"] = run(sys.executable, OURS, {**settings, "template": "auto"}, home)
    text = table(asked, results)
    print(text)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")


def table(asked: argparse.Namespace, results: dict[str, dict[str, Any]]) -> str:
    """Markdown of all results."""
    names = ("transformers", "tokenizers", "pyarrow")
    lines = [
        f"# {asked.rows:,} rows to tokens",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {asked.device}, {asked.workers} workers, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in names)
        + " (ours). Written by benchmarks/tokenize.py.",
        "",
        "| | rows/s | seconds | CPU seconds | tokens | peak memory, MB | whole process, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        figures = f"{found['rows'] / found['seconds']:,.0f} | {found['seconds']:.1f} | {found['cpu']:.1f}"
        figures += f" | {found['tokens']:,}"
        lines.append(f"| {name} | {figures} | {found['peak'] / 1e6:,.0f} | {found['wall']:.1f} |")
    theirs, ours = results.get("LLaMA-Factory 0.9.5"), results["sft-wizard"]
    if theirs:
        same = "equal, token for token" if theirs["sums"] == ours["sums"] else "NOT equal"
        rate, memory = theirs["seconds"] / ours["seconds"], ours["peak"] / theirs["peak"]
        effort = theirs["cpu"] / ours["cpu"]
        lines += [
            "",
            f"Ours is {rate:.1f} times as fast ({effort:.1f} times by CPU time) with {memory:.2f} of the memory. "
            f"Ids and labels are {same}.",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
