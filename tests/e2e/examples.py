"""LLaMA-Factory 0.9.5's example YAMLs, rebuilt, and run by sft-wizard on tiny random models of the right family.

    python -m tests.e2e.examples            runs all of them and writes the table of docs/compatibility.md
    python -m tests.e2e.examples A          only the A-set, without writing

The files are as LLaMA-Factory has them; model_name_or_path and max_steps are given on the command line.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.tool import TOOL, environment, write_yaml
from tests.unit.tiny_tokenizer import CHATML_TOKENS, tiny_tokenizer

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- examples: written by tests/e2e/examples.py -->", "<!-- end of examples -->"

A_SET = (
    "train_lora/qwen3_lora_sft.yaml",
    "train_lora/qwen3_preprocess.yaml",
    "extras/loraplus/llama3_lora_sft.yaml",
    "extras/pissa/llama3_lora_sft.yaml",
    "train_qlora/qwen3_lora_sft_otfq.yaml",
    "train_qlora/qwen3_lora_sft_bnb_npu.yaml",
    "extras/nlg_eval/llama3_lora_predict.yaml",
    "inference/qwen3.yaml",
    "inference/qwen3_full_sft.yaml",
    "inference/qwen3_lora_sft.yaml",
    "merge_lora/qwen3_lora_sft.yaml",
    "merge_lora/qwen3_full_sft.yaml",
)
TRAINING = {
    "dataset_dir": "data",
    "cutoff_len": 2048,
    "max_samples": 1000,
    "preprocessing_num_workers": 16,
    "dataloader_num_workers": 4,
    "logging_steps": 10,
    "save_steps": 500,
    "plot_loss": True,
    "overwrite_output_dir": True,
    "save_only_model": False,
    "report_to": "none",
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 8,
    "learning_rate": 1.0e-4,
    "num_train_epochs": 3.0,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.1,
    "bf16": True,
    "ddp_timeout": 180000000,
    "resume_from_checkpoint": None,
}
DATASETS = ("identity", "alpaca_en_demo", "alpaca_zh_demo", "alpaca_zh")
LLAMA3_TOKENS = (
    "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>"
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of an example: `runs`, `refused` (a reason and no traceback) or `fails`; the words it ended with."""

    path: str
    kind: str
    status: str
    words: str


def examples() -> dict[str, dict[str, Any]]:
    """The recorded facts of every classic example, by path."""
    text = (Path(__file__).parent / "data" / "llamafactory_examples.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return loaded


def rebuilt(path: str, facts: dict[str, Any]) -> dict[str, Any]:
    """The YAML of one example."""
    values = {"model_name_or_path": facts["model"], "trust_remote_code": True}
    saves = f"saves/{_slug(facts['model'])}/{facts.get('finetuning_type', 'lora')}"
    more = dict(facts.get("more", {}))
    template = {"template": facts["template"]} if "template" in facts else {}
    if facts["kind"] in ("chat", "export"):
        return {**values, **template, **more}
    method = {"stage": facts["stage"], "finetuning_type": facts["finetuning_type"]}
    if facts["kind"] == "predict":
        keep = ("cutoff_len", "preprocessing_num_workers", "dataloader_num_workers", "overwrite_output_dir")
        rest = {name: TRAINING[name] for name in (*keep, "report_to", "ddp_timeout")}
        return {**values, **method, **template, **more, "max_samples": 50, **rest, "output_dir": f"{saves}/predict"}
    dataset = {"dataset": facts["dataset"], **template}
    if path.endswith("preprocess.yaml"):
        rest = {name: TRAINING[name] for name in ("cutoff_len", "max_samples", "preprocessing_num_workers")}
        rest |= {"output_dir": f"{saves}/sft", "overwrite_output_dir": True}
        return {**values, **method, "do_train": True, **dataset, **rest, **more}
    return {**values, **method, "do_train": True, **dataset, **TRAINING, "output_dir": f"{saves}/sft", **more}


def workspace(folder: Path) -> None:
    """What the examples expect where they are run: the files, data/, and a fully tuned model for those that use one."""
    for path, facts in examples().items():
        write_yaml(folder / "examples" / path, rebuilt(path, facts))
    data = folder / "data"
    data.mkdir()
    rows = [{"instruction": f"question {i}", "input": "", "output": f"an answer, number {i}"} for i in range(60)]
    for name in DATASETS:
        (data / f"{name}.json").write_text(json.dumps(rows))
    (data / "dataset_info.json").write_text(json.dumps({name: {"file_name": f"{name}.json"} for name in DATASETS}))
    for name in ("qwen3", "qwen2", "qwen3moe", "llama3", "llama2", "quantised"):
        stand_in(folder / "models" / name, name)
    shutil.copytree(folder / "models" / "qwen3", folder / "saves" / "qwen3-4b" / "full" / "sft")


def stand_in(folder: Path, family: str) -> None:
    """A random model of two layers with a tokenizer that has the family's marks."""
    import torch
    from transformers import (
        AutoModelForCausalLM,
        LlamaConfig,
        PretrainedConfig,
        Qwen2Config,
        Qwen3Config,
        Qwen3MoeConfig,
    )

    llama3 = family in ("llama3", "quantised")
    special = LLAMA3_TOKENS if llama3 else ("<s>", "</s>") if family == "llama2" else CHATML_TOKENS
    names = {"eos_token": "<|eot_id|>", "bos_token": LLAMA3_TOKENS[0], "pad_token": "<|end_of_text|>"}
    if family == "llama2":
        names = {"eos_token": "</s>", "bos_token": "<s>"}
    elif not llama3:
        names = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    tokenizer = tiny_tokenizer(special, chat_template=None if llama3 else tiny_tokenizer().chat_template, **names)
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config: PretrainedConfig
    if family.startswith("qwen3"):
        experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
        config = Qwen3MoeConfig(**sizes, **experts) if family == "qwen3moe" else Qwen3Config(**sizes)
    else:
        config = Qwen2Config(**sizes) if family == "qwen2" else LlamaConfig(**sizes)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if family == "quantised":  # only its config.json says so: the weights are never read
        described = json.loads((folder / "config.json").read_text())
        described["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 128}
        (folder / "config.json").write_text(json.dumps(described))


def run(folder: Path, path: str, timeout: float = 300) -> Outcome:
    """Run one example in its workspace as a person would, and say what became of it."""
    facts = examples()[path]
    file = f"examples/{path}"
    model = f"model_name_or_path={_family(folder, facts)}"
    if facts["kind"] == "chat":
        command = ["chat", file, "question 1", "--max-new-tokens", "4", "--set", model]
    elif facts["kind"] == "export":
        command = ["export", file, "--set", model]
    else:
        command = ["train", file, "--set", model]
        command += ["--set", "max_steps=2"] if facts["kind"] == "train" else ["--set", "max_new_tokens=8"]
    done = subprocess.run(
        [*TOOL, *command], cwd=folder, env=environment(), capture_output=True, text=True, timeout=timeout
    )
    status = "runs" if done.returncode == 0 else "refused" if done.returncode in (2, 3) else "fails"
    if "Traceback" in done.stderr:
        status = "fails"
    return Outcome(path, facts["kind"], status, "" if status == "runs" else _words(done.stderr, folder))


def _slug(model: str) -> str:
    name = model.rpartition("/")[2].lower()
    known = re.match(r"(meta-)?(llama|qwen)-?([\d.]+)(?:-vl)?-?(\d+b)?", name)
    return f"{known[2]}{known[3]}-{known[4] or 'x'}" if known else name


def _family(folder: Path, facts: dict[str, Any]) -> str:
    model = facts["model"].lower()
    if model.startswith("saves/"):
        return str(facts["model"])  # what another example made
    if model.endswith(("awq", "gptq", "aqlm-2bit-1x16")):
        name = "quantised"
    elif "llama-2" in model:
        name = "llama2"
    elif "llama" in model:
        name = "llama3"
    elif "qwen3" in model:
        name = "qwen3moe" if re.search(r"a\d+b", model) else "qwen3"
    else:
        name = "qwen2"
    return str(folder / "models" / name)


def _words(text: str, folder: Path) -> str:
    """The first problem of what the tool said, without its place, on one line."""
    text = text.replace(f"{folder}/", "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = next((line for line in lines if "error" in line.lower() or "✗" in line), lines[-1] if lines else "")
    return re.sub(r"\S*\.yaml(:\d+)*:?\s*", "", first).removeprefix("error: ")[:200].rstrip()


def table(outcomes: list[Outcome]) -> str:
    """The markdown of docs/compatibility.md's table."""
    count = {status: sum(one.status == status for one in outcomes) for status in ("runs", "refused", "fails")}
    training = [one for one in outcomes if one.kind != "train" or examples()[one.path]["stage"] == "sft"]
    chosen = [one for one in outcomes if one.path in A_SET]
    lines = [
        f"{sum(one.status == 'runs' for one in training)} of the {len(training)} supervised examples run, the others"
        f" are refused with a reason; of the A-set (marked A) {sum(one.status == 'runs' for one in chosen)} of"
        f" {len(chosen)} run. With the {len(outcomes) - len(training)} examples of other stages: {count['runs']} run,"
        f" {count['refused']} are refused, {count['fails']} fail.",
        "",
        "| example | | outcome |",
        "|---|---|---|",
    ]
    for one in outcomes:
        said = "runs" if one.status == "runs" else f"{one.status}: {one.words}".replace("|", "\\|")
        lines.append(f"| {one.path.removesuffix('.yaml')} | {'A' if one.path in A_SET else ''} | {said} |")
    return "\n".join(lines)


def main(only_a: bool) -> int:
    """Run them in an order that lets later ones use what earlier ones made."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace(folder)
        rest = [] if only_a else [path for path in examples() if path not in A_SET]
        outcomes = []
        for path in (*A_SET, *rest):
            outcomes.append(run(folder, path))
            print(f"{outcomes[-1].status:8} {path}  {outcomes[-1].words}", flush=True)
    if not only_a:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{table(outcomes)}\n{END}{after}", encoding="utf-8")
    return 1 if any(one.status == "fails" for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] == ["A"]))
