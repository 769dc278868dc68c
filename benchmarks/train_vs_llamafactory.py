"""The same YAML, model and data through LLaMA-Factory and through us, alternating in one run.

    python -m benchmarks.train_vs_llamafactory --data alpaca_en_demo.json --model SMOLLM2_FOLDER --llamafactory VENV

Three ways: LLaMA-Factory as it comes, with disable_gradient_checkpointing, and ours. Reported: wall time of the
training loop (train_runtime of each), of the whole command, peak resident memory, loss of the first steps. Tokens are
counted here, without padding. Machines are shared and noisy: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from benchmarks.merge import measured, version_in

ROOT = Path(__file__).resolve().parent.parent
AS_IT_COMES, NO_CHECKPOINTING, OURS = "LLaMA-Factory as it comes", "LLaMA-Factory, no checkpointing", "sft-wizard"


def config(work: Path, model: Path, steps: int, name: str, bf16: bool) -> dict[str, Any]:
    """The YAML; only output_dir and the checkpointing switch differ between the ways."""
    return {
        "model_name_or_path": str(model),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": 8,
        "lora_target": "all",
        "dataset_dir": str(work / "data"),
        "dataset": "rows",
        "template": "qwen",
        "cutoff_len": 1024,
        "overwrite_cache": True,
        "output_dir": str(work / name),
        "logging_steps": 1,
        "save_strategy": "no",
        "overwrite_output_dir": True,
        "report_to": "none",
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-4,
        "max_steps": steps,
        "lr_scheduler_type": "cosine",
        "bf16": bf16,
        "use_cpu": True,
        "seed": 42,
    }


def tokens_of(work: Path, model: Path, settings: dict[str, Any]) -> tuple[int, int]:
    """(tokens, labelled tokens) of all rows, without padding, by our own tokenising."""
    from engine.config.schema import TrainConfig
    from engine.data.prepare import data_files, prepare

    used = TrainConfig(**settings)
    prepared = prepare(
        used, model, hashes=data_files(used), progress=lambda done, total: None, should_stop=lambda: False
    )
    return prepared.train.report.tokens, prepared.train.report.labelled_tokens


def main() -> None:
    """Run, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="an alpaca json file")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--llamafactory", type=Path, required=True, help="its virtual environment")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--steps", type=int, default=25, help="optimiser steps of 8 rows; 25 are one pass of 200")
    parser.add_argument("--bf16", action="store_true", help="bf16: true in the YAML (needs a CPU that is fast at it)")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--note", default="", help="a sentence for the record")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/train_vs_llamafactory.md")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-train-"))
    (work / "data").mkdir()
    rows = json.loads(options.data.read_text(encoding="utf-8"))[: options.rows]
    (work / "data/rows.json").write_text(json.dumps(rows))
    (work / "data/dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    ours = str(Path(sys.executable).with_name("sft-wizard"))
    theirs = str(options.llamafactory / "bin/llamafactory-cli")
    runs: dict[str, list[dict[str, float]]] = {AS_IT_COMES: [], NO_CHECKPOINTING: [], OURS: []}
    for repeat in range(options.repeats):
        for number, way in enumerate(runs):
            settings = config(work, options.model, options.steps, f"out-{number}-{repeat}", options.bf16)
            if way == NO_CHECKPOINTING:
                settings["disable_gradient_checkpointing"] = True
            file = work / f"{number}-{repeat}.yaml"
            file.write_text(yaml.safe_dump(settings))
            command = [ours, "train", str(file)] if way == OURS else [theirs, "train", str(file)]
            figures, _ = measured(command)
            out = Path(settings["output_dir"])
            log = [json.loads(line) for line in (out / "trainer_log.jsonl").read_text().splitlines()]
            figures["loop"] = json.loads((out / "train_results.json").read_text())["train_runtime"]
            figures["first"], figures["last"] = (line["loss"] for line in (log[0], log[options.steps - 1]))
            runs[way].append(figures)
            print(way, {name: round(value, 4) for name, value in figures.items()}, flush=True)
    tokens, labelled = tokens_of(work, options.model, settings)
    text = report(runs, options, tokens, labelled)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text)
    print(text)
    shutil.rmtree(work)


def report(runs: dict[str, list[dict[str, float]]], options: argparse.Namespace, tokens: int, labelled: int) -> str:
    """The figures as markdown: medians, and times as ratios to ours."""

    def median(way: str, name: str) -> float:
        return statistics.median(run[name] for run in runs[way])

    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "accelerate"))
    peers = ", ".join(
        f"{name} {version_in(options.llamafactory, name)}" for name in ("llamafactory", "transformers", "peft")
    )
    passes = options.steps * 8 / options.rows
    lines = [
        "# Training beside LLaMA-Factory",
        "",
        "Made by benchmarks/train_vs_llamafactory.py.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, 2 shared CPU cores without bf16 instructions, no GPU. Ours: {packages}. "
        f"Peer: {peers}.",
        f"SmolLM2-135M, LoRA rank 8 on all linear layers, batch 4 × accumulation 2, {options.steps} steps; "
        f"{options.rows} rows of {options.data.name}, {tokens} tokens a pass ({labelled} trained on), "
        f"{passes:g} passes; `bf16: {str(options.bf16).lower()}`, `use_cpu: true`. {options.repeats} alternating runs "
        "each, medians.",
        options.note,
        "",
        "| | loop, s | loop, ours = 1 | whole command, s | whole, ours = 1 | tokens/s in the loop | peak RSS, GB "
        "| loss of step 1 | loss of the last step |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for way in runs:
        loop, whole = median(way, "loop"), median(way, "seconds")
        lines.append(
            f"| {way} | {loop:.1f} | {loop / median(OURS, 'loop'):.2f} | {whole:.1f} "
            f"| {whole / median(OURS, 'seconds'):.2f} | {tokens * passes / loop:.0f} | {median(way, 'rss'):.2f} "
            f"| {median(way, 'first'):.4f} | {median(way, 'last'):.4f} |"
        )
    pairs = {
        way: ", ".join(f"{a['loop'] / b['loop']:.2f}" for a, b in zip(runs[way], runs[OURS], strict=True))
        for way in (AS_IT_COMES, NO_CHECKPOINTING)
    }
    lines += ["", *(f"Loop time over ours, run by run, {way}: {ratios}." for way, ratios in pairs.items()), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
