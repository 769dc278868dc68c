"""Record what LLaMA-Factory makes of llamafactory/data: run it with the Python that has llamafactory 0.9.5 installed.

    <its python> tests/golden/record_llamafactory.py <folder of SmolLM2-135M-Instruct>

Writes llamafactory/tokens.json (ids and labels a case and row), prompts.json and lengths.json beside this file.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from llamafactory.data import get_template_and_fix_tokenizer
from llamafactory.data.processor.processor_utils import infer_seqlen
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
from llamafactory.train.test_utils import load_dataset_module
from transformers import AutoTokenizer

HERE = Path(__file__).parent / "llamafactory"
DATASETS = ("alpaca", "sharegpt")
# Llama 3's marks, which this tokenizer lacks: added to a copy of it, in this order.
LLAMA3_TOKENS = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>"]
CASES = [
    *({"template": name, "cutoff_len": cutoff} for name in ("qwen", "chatml", "default", "alpaca", "llama3")
      for cutoff in (2048, 64, 20)),
    {"template": "chatml", "cutoff_len": 64, "mask_history": True},
    {"template": "chatml", "cutoff_len": 64, "train_on_prompt": True},
]  # fmt: skip


def main(model: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        extended = Path(scratch) / "tokenizer"
        shutil.copytree(model, extended, ignore=shutil.ignore_patterns("*.safetensors"))
        tokenizer = AutoTokenizer.from_pretrained(model)
        tokenizer.add_special_tokens({"extra_special_tokens": LLAMA3_TOKENS})
        tokenizer.bos_token = LLAMA3_TOKENS[0]
        tokenizer.save_pretrained(extended)

        cases, prompts = [], []
        for case in CASES:
            folder = extended if case["template"] == "llama3" else model
            for dataset in DATASETS:
                rows = load_dataset_module(**config(folder, case, dataset, scratch))["train_dataset"]
                tokens = [[list(row["input_ids"]), runs(row["labels"])] for row in rows]
                cases.append({**case, "dataset": dataset, "rows": tokens})
            if case["cutoff_len"] == 2048:
                prompts.append({"template": case["template"], **prompt_ids(config(folder, case, "alpaca", scratch))})
    write("tokens.json", {"llama3_tokens": LLAMA3_TOKENS, "cases": cases})
    write("prompts.json", prompts)
    write("lengths.json", lengths())


def config(model: Path, case: dict, dataset: str, scratch: str) -> dict:
    return {
        "model_name_or_path": str(model), "stage": "sft", "do_train": True, "finetuning_type": "lora",
        "dataset_dir": str(HERE / "data"), "dataset": dataset, "output_dir": scratch, "report_to": "none",
        "overwrite_cache": True, "use_cpu": True, **case,
    }  # fmt: skip


def prompt_ids(settings: dict) -> dict:
    """Prompts of the sharegpt rows up to the header of the last answer; end and padding token, stop ids."""
    model_args, data_args, *_ = get_train_args(settings)
    tokenizer = load_tokenizer(model_args)["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    prompts = []
    for row in json.loads((HERE / "data" / "sharegpt.json").read_text(encoding="utf-8")):
        turns = [(message["from"], message["value"]) for message in row["conversations"]]
        system = turns.pop(0)[1] if turns[0][0] == "system" else ""
        roles = {"human": "user", "gpt": "assistant"}
        messages = [{"role": roles[role], "content": content} for role, content in turns]
        prompts.append(template.encode_oneturn(tokenizer, messages, system)[0])
    stops = sorted(template.get_stop_token_ids(tokenizer))
    return {"prompts": prompts, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id, "stops": stops}


def lengths() -> list[list[int]]:
    """[source, target, room, source kept, target kept], a third of them where floating point rounds otherwise."""
    rng = random.Random(0)
    plain, odd = [], []
    while len(plain) < 40 or len(odd) < 20:
        source, target, room = rng.randint(0, 400), rng.randint(1, 400), rng.randint(1, 500)
        kept = infer_seqlen(source, target, room)
        rounded = target * 2 >= room and source * 2 >= room and kept[1] != room * target // (source + target)
        kind, most = (odd, 20) if rounded else (plain, 40)
        if len(kind) < most:
            kind.append([source, target, room, *kept])
    return plain + odd


def runs(labels: list[int]) -> list[int]:
    """Lengths of alternating runs, masked first; labels equal the input ids wherever they are not masked."""
    lengths = [0]
    masked = True
    for label in labels:
        if (label == -100) is not masked:
            masked = not masked
            lengths.append(0)
        lengths[-1] += 1
    return lengths


def write(name: str, content: object) -> None:
    (HERE / name).write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
