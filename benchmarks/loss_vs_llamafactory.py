"""One YAML through LLaMA-Factory and through us, from the same adapter weights: is the loss of every step the same?

    python -m benchmarks.loss_vs_llamafactory --data alpaca_en_demo.json --model SMOLLM2_FP32 --llamafactory VENV

fp32, dropout 0, CPU. The adapter is random on both sides of each layer, so it has an effect from the first step on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from benchmarks.merge import version_in

ROOT = Path(__file__).resolve().parent.parent
WITHIN = 1e-3


def settings(work: Path, model: Path, steps: int, name: str, template: str) -> dict[str, Any]:
    """The YAML; only output_dir differs between the two."""
    return {
        "model_name_or_path": str(model),
        "adapter_name_or_path": str(work / "adapter"),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "dataset_dir": str(work / "data"),
        "dataset": "rows",
        "template": template,
        "cutoff_len": 512,
        "overwrite_cache": True,
        "output_dir": str(work / name),
        "logging_steps": 1,
        "save_strategy": "no",
        "overwrite_output_dir": True,
        "report_to": "none",
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 2e-4,
        "max_steps": steps,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.1,
        "use_cpu": True,
        "seed": 42,
    }


def random_adapter(model: Path, folder: Path) -> None:
    """A LoRA adapter of rank 8 on all linear layers with both factors random."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(7)
    linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    wrapped = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=linear, task_type="CAUSAL_LM"))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.01)
    wrapped.save_pretrained(folder)


def losses(command: list[str], out: Path) -> list[float]:
    """Run it; the loss of every step as trainer_log.jsonl has it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stderr[-3000:]}")
    log = [json.loads(line) for line in (out / "trainer_log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in log if "loss" in line]


def main() -> None:
    """Run both, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="an alpaca json file")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--llamafactory", type=Path, required=True, help="its virtual environment")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--template", default="chatml")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/loss_vs_llamafactory.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-loss-") as name:
        work = Path(name)
        (work / "data").mkdir()
        rows = json.loads(options.data.read_text(encoding="utf-8"))[: options.steps * 4]
        (work / "data/rows.json").write_text(json.dumps(rows))
        (work / "data/dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
        random_adapter(options.model, work / "adapter")
        found = {}
        tools = {"ours": Path(sys.executable).with_name("sft-wizard")}
        tools["theirs"] = options.llamafactory / "bin/llamafactory-cli"
        for side, tool in tools.items():
            values = settings(work, options.model, options.steps, side, options.template)
            file = work / f"{side}.yaml"
            file.write_text(yaml.safe_dump(values))
            found[side] = losses([str(tool), "train", str(file)], work / side)
    text = report(found["ours"], found["theirs"], options)
    options.out.write_text(text)
    print(text)
    if max(abs(a - b) for a, b in zip(found["ours"], found["theirs"], strict=True)) > WITHIN:
        raise SystemExit(f"not within {WITHIN}")


def report(ours: list[float], theirs: list[float], options: argparse.Namespace) -> str:
    """Both rows of losses as markdown."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "accelerate"))
    peers = ", ".join(
        f"{name} {version_in(options.llamafactory, name)}" for name in ("llamafactory", "transformers", "peft")
    )
    most = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    lines = [
        "# The same loss as LLaMA-Factory",
        "",
        "Made by benchmarks/loss_vs_llamafactory.py.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, 2 shared CPU cores, no GPU. Ours: {packages}. Peer: {peers}.",
        f"SmolLM2-135M in fp32, template {options.template}, a random LoRA adapter of rank 8 on all linear layers, "
        f"dropout 0, batch 2 × accumulation 2, {len(ours)} steps on {options.data.name}.",
        "",
        f"Largest difference of a step's loss: {most:.2e} (trainer_log.jsonl keeps what each rounds it to).",
        "",
        "| step | ours | LLaMA-Factory |",
        "|---|---|---|",
        *(f"| {step} | {a:.4f} | {b:.4f} |" for step, (a, b) in enumerate(zip(ours, theirs, strict=True), 1)),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
