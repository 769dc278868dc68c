"""Merging beside its peers: LLaMA-Factory's export (part A), and plain copying of the same bytes (part B).

    python -m benchmarks.merge --part a --model SMOLLM2_FOLDER --llamafactory VENV
    python -m benchmarks.merge --part b

Part A runs whole commands, imports included, on an adapter made here; ours also proves its result, LLaMA-Factory's
checks nothing. Part B merges an adapter of rank 16 on every linear layer of a random bf16 Llama of four 1 GB shards,
in one process with its imports, beside `cp -r --reflink=never` of the base; both sync to disk before the clock stops.
Runs alternate, medians are reported, and figures are ratios so that they mean something on another machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
MERGE = """
import json, sys, time
from pathlib import Path
started = time.monotonic()
from engine.merge.stream import Saving, merge_adapter
import peft, transformers.models.llama.modeling_llama  # what transformers and peft import on first use
imported = time.monotonic()
saving = Saving(progress=lambda done, total: None, should_stop=lambda: False)
report = merge_adapter(*map(Path, sys.argv[1:]), saving)
print(json.dumps({"imports": imported - started, "merge": report.seconds, "bytes": report.bytes}))
"""
Run = dict[str, float]


def measured(command: list[str], environment: dict[str, str] | None = None) -> tuple[Run, str]:
    """Run a command; wall seconds and the largest resident and anonymous memory (GB) of its process tree."""
    peak: Run = {"rss": 0.0, "anonymous": 0.0}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    started = time.monotonic()
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.05):
            now = [_status(pid) for pid in _tree(process.pid)]
            for name in peak:
                peak[name] = max(peak[name], sum(one.get(name, 0.0) for one in now))

    watcher = threading.Thread(target=sample)
    watcher.start()
    out, err = process.communicate()
    peak["seconds"] = time.monotonic() - started
    done.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"{shlex.join(command)} failed:\n{err[-3000:]}")
    return peak, out


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        try:
            found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue
    return found


def _status(pid: int) -> Run:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "RssAnon"))}
    return {"rss": kilobytes.get("VmRSS", 0) / 1e6, "anonymous": kilobytes.get("RssAnon", 0) / 1e6}


def make_adapter(base: Path, folder: Path, rank: int) -> None:
    """LoRA on every linear layer with a random B, as large as training leaves it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=LINEAR, task_type="CAUSAL_LM")
    tuned = get_peft_model(model, lora)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    tuned.save_pretrained(folder)


def make_large_base(folder: Path) -> None:
    """Four bf16 shards of 1 GB each: 22 layers of width 2560."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        hidden_size=2560,
        intermediate_size=6912,
        num_hidden_layers=22,
        num_attention_heads=20,
        num_key_value_heads=20,
        vocab_size=32000,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder, max_shard_size="1GB")


def part_a(work: Path, model: Path, llamafactory: Path, ours: list[str], repeats: int) -> list[str]:
    adapter = work / "adapter"
    make_adapter(model, adapter, rank=8)
    keys = {
        "model_name_or_path": str(model),
        "adapter_name_or_path": str(adapter),
        "template": "default",
        "export_device": "cpu",
        "export_size": 5,
        "trust_remote_code": False,
    }
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "DISABLE_VERSION_CHECK": "1", "CUDA_VISIBLE_DEVICES": ""}

    def run(command: list[str], name: str) -> Run:
        out = work / f"export_{name}"
        shutil.rmtree(out, ignore_errors=True)
        file = work / f"{name}.yaml"
        file.write_text(json.dumps(keys | {"export_dir": str(out)}))  # JSON is YAML
        result, _ = measured([*command, str(file)], offline)
        if not (out / "model.safetensors").is_file():
            sys.exit(f"{name} wrote no model")
        return result

    theirs = [str(llamafactory / "bin" / "llamafactory-cli"), "export"]
    runs = alternated(
        {"LLaMA-Factory export": lambda: run(theirs, "llamafactory"), "ours, with proof": lambda: run(ours, "ours")},
        repeats,
    )
    lf = version_in(llamafactory, "llamafactory")
    head = f"SmolLM2-135M in bf16, LoRA r=8 on every linear layer; whole commands. LLaMA-Factory {lf}."
    return ["## A. A small model, beside LLaMA-Factory's export", "", head, "", *table(runs, "LLaMA-Factory export")]


def part_b(work: Path, repeats: int) -> list[str]:
    base, adapter = work / "large", work / "large_adapter"
    make_large_base(base)
    make_adapter(base, adapter, rank=16)
    files = sorted(base.glob("*.safetensors"))
    size = sum(file.stat().st_size for file in files)

    def merge() -> Run:
        out = work / "merged"
        shutil.rmtree(out, ignore_errors=True)
        os.sync()
        result, printed = measured([sys.executable, "-P", "-c", MERGE, str(base), str(adapter), str(out)], path())
        inner = json.loads(printed)
        return result | {"work": inner["merge"], "imports": inner["imports"]}

    def copy() -> Run:
        out = work / "copied"
        shutil.rmtree(out, ignore_errors=True)
        os.sync()
        sync = 'cp -r --reflink=never "$0" "$1" && sync "$1"/* "$1"'
        result, _ = measured(["sh", "-c", sync, str(base), str(out)])
        return result | {"work": result["seconds"]}

    measured(["sh", "-c", 'cat "$0"/*.safetensors >/dev/null', str(base)])  # both start from a warm page cache
    runs = alternated({"cp -r and sync": copy, "ours, merge alone": merge}, repeats)
    head = f"{size / 1e9:.1f} GB in {len(files)} bf16 shards, LoRA r=16 on every linear layer; warm page cache."
    words = "`work` leaves out the imports of torch, transformers and peft; memory includes them."
    return ["## B. Streaming, beside a copy of the same bytes", "", head, words, "", *table(runs, "cp -r and sync")]


def alternated(ways: dict[str, Callable[[], Run]], repeats: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for turn in range(repeats):
        for name, way in ways.items():
            runs[name].append(way())
            print(f"{turn + 1}/{repeats} {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    return runs


def table(runs: dict[str, list[Run]], against: str) -> list[str]:
    lines = [
        f"| | time, {against} = 1 | of which work | seconds (lowest–highest) | peak RSS, GB | of it anonymous |",
        "|---|---|---|---|---|---|",
    ]
    unit = statistics.median(run["seconds"] for run in runs[against])
    for name, many in runs.items():
        seconds = [run["seconds"] for run in many]
        middle = {key: statistics.median(run[key] for run in many) for key in many[0]}
        work = f"{middle['work'] / unit:.2f}" if "work" in middle else ""
        spread = f"{middle['seconds']:.1f} ({min(seconds):.1f}–{max(seconds):.1f})"
        memory = f"{middle['rss']:.2f} | {max(run['anonymous'] for run in many):.2f}"
        lines.append(f"| {name} | {middle['seconds'] / unit:.2f} | {work} | {spread} | {memory} |")
    pairs = [ours["seconds"] / peer["seconds"] for peer, ours in zip(*runs.values(), strict=True)]
    return [*lines, "", f"Ratio pair by pair: {', '.join(f'{pair:.2f}' for pair in pairs)}."]


def path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def version_in(venv: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version('{package}'))"
    return subprocess.run([str(venv / "bin" / "python"), "-c", code], capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["a", "b"], action="append", help="repeatable; default: both")
    parser.add_argument("--model", type=Path, help="part A: folder of SmolLM2-135M")
    parser.add_argument("--llamafactory", type=Path, help="part A: a virtual environment with LLaMA-Factory")
    parser.add_argument(
        "--ours-command", default="sft-wizard export", help="part A: gets the YAML file as last argument"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--work", type=Path, help="scratch folder with 20 GB free; default: a temporary one")
    parser.add_argument("--device", default="2 shared CPU cores", help="words for the machine in the result")
    parser.add_argument("--result", type=Path, default=ROOT / "benchmarks" / "results" / "merge.md")
    options = parser.parse_args()
    parts = options.part or ["a", "b"]
    sections: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(dir=options.work, prefix="merge-benchmark-") as work:
        if "a" in parts:
            if not (options.model and options.llamafactory):
                parser.error("part A needs --model and --llamafactory")
            ours = shlex.split(options.ours_command)
            sections["A"] = part_a(Path(work), options.model, options.llamafactory, ours, options.repeats)
        if "b" in parts:
            sections["B"] = part_b(Path(work), options.repeats)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "safetensors"))
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    note = f"{day}, {options.device}, Python {platform.python_version()}, {packages}; median of {options.repeats}."
    old = options.result.read_text().split("\n## ")[1:] if options.result.exists() else []
    kept = {part[0]: f"## {part}".rstrip().splitlines() for part in old}
    for name, lines in sections.items():
        kept[name] = [lines[0], "", note, *lines[1:]]
    text = ["# Merging an adapter", "", "Made by benchmarks/merge.py.", ""]
    for name in sorted(kept):
        text += [*kept[name], ""]
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
