"""Jobs for the tests of forecasts: configs and models as files of a few bytes, machines of any size. No torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import yaml

from engine.hardware import GIB, Gpu, Hardware, Host
from engine.memory.forecast import Machine
from engine.text import Phrase

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}
# Embedding, a layer (q and o, k and v, three of the MLP, two norms) four times, the last norm.
LLAMA_PARAMETERS = 1000 * 256 + 4 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512 + 2 * 256) + 256
HOST = Host("a processor", 8, 64 * GIB, 60 * GIB)


def machine(*free: float, total: float = 24, **more: Any) -> Machine:
    """Cards of `total` GiB with so many free each; without any, the processor. Nothing is traced or calibrated."""
    gpus = tuple(
        Gpu(at, f"GPU-{at}", f"Card {at}", int(total * GIB), int(gib * GIB), capability=(8, 9))
        for at, gib in enumerate(free)
    )
    settings = {"trace": None, "factor": lambda device, recipe: 1.0, "installed": lambda name: True} | more
    return Machine(Hardware(gpus, Phrase("" if gpus else "no GPU in this test")), HOST, **settings)


def save_llama(folder: Path, *, weights: bool = True, **changes: Any) -> Path:
    """A model folder by hand: config.json, a tokenizer that nobody reads, and one tensor of all parameters of zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {name: value for name, value in {**LLAMA, **changes}.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    if weights:
        size = 2 * LLAMA_PARAMETERS
        header = {"all": {"dtype": "BF16", "shape": [LLAMA_PARAMETERS], "data_offsets": [0, size]}}
        raw = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(size))
    return folder


def save_job(folder: Path, model: Path | str, **changes: Any) -> Path:
    """A train config in `folder` with a data set of ten rows beside it; a value of `...` leaves the key out."""
    data = folder / "data"
    data.mkdir(exist_ok=True, parents=True)
    rows = [{"instruction": f"question {at}", "output": "an answer"} for at in range(10)]
    (data / "rows.json").write_text(json.dumps(rows))
    (data / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    values = {
        "model_name_or_path": str(model),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": 8,
        "dataset": "rows",
        "dataset_dir": str(data),
        "template": "chatml",
        "cutoff_len": 512,
        "output_dir": str(folder / "saves"),
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "bf16": True,
        **changes,
    }
    file = folder / "train.yaml"
    file.write_text(yaml.safe_dump({name: value for name, value in values.items() if value is not ...}))
    return file
