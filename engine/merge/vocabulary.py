"""Tokens that training added: the adapter says how many rows embedding and head had."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from engine.merge.inputs import ADAPTER_WEIGHTS, Inputs, read_base
from engine.merge.safetensors_io import Checkpoint

_HEAD = "lm_head"
_IN_A_LAYER = re.compile(r"\.\d+\.")


def grown_vocabulary(inputs: Inputs) -> tuple[set[str], int] | None:
    """The base tensors (embedding, head) that had more rows in training, and how many; None where none had."""
    config = inputs.base_config
    text = config.get("text_config")
    size: int = (text if isinstance(text, dict) else config).get("vocab_size", config.get("vocab_size")) or 0
    tables = {
        name
        for name, stored in inputs.base_tensors.items()
        if len(stored.shape) == 2 and stored.shape[0] == size and not _IN_A_LAYER.search(name)
    }
    modules = {name.removesuffix(".weight").rpartition(".")[2] for name in tables} | {_HEAD}
    rows = max((found for name in inputs.adapter_tensors if (found := _rows(inputs, name, modules))), default=0)
    return (tables, rows) if tables and rows > size else None


def rows_in_training(base: Path, adapters: Iterable[Path]) -> int | None:
    """How many rows embedding and head need for all of these adapters; None where the base's own are enough."""
    inputs = read_base(base, changed=False)
    found = []
    for adapter in adapters:
        if (adapter / ADAPTER_WEIGHTS).is_file():
            with Checkpoint(adapter, [ADAPTER_WEIGHTS]) as checkpoint:
                found.append(grown_vocabulary(replace(inputs, adapter_tensors=checkpoint.tensors)))
    return max((grown[1] for grown in found if grown), default=None)


def _rows(inputs: Inputs, name: str, modules: set[str]) -> int:
    """Rows of the vocabulary that an adapter tensor was made for, 0 where it has nothing to do with it."""
    shape = inputs.adapter_tensors[name].shape
    if len(shape) != 2 or not any(f".{module}." in f".{name}" for module in modules):
        return 0
    if "lora_embedding_A" in name:
        return shape[1]
    if any(part in name for part in ("lora_embedding_B", "lora_A", "token_adapter", "trainable_tokens")):
        return 0
    return shape[0]
