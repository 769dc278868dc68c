"""What benchmarks/vram.py measures: models by their config.json, the cells of the matrix, what is predicted of them.

No torch here. A cell is a plan of a packed LoRA step (rank 16 on all linear layers, bf16 base, fp32 adapter, autocast,
AdamW) on a model with random weights; its row is `samples` samples of `tokens` tokens, all of them labelled.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from engine.config.schema import TrainConfig
from engine.memory.fast import fast_estimate
from engine.memory.job import Device, Parts, Recipe, StepPlan
from engine.memory.recipe import recipe_of
from engine.memory.recommended import known_model
from engine.memory.shape import shape_of
from engine.runs.launch import python_module, worker_environment

Method = Literal["lora", "qlora"]
RANK, DEPTH = 16, 8
DEPTH_OF_EXPERTS = 4  # 1.2 GB each
ROWS = ((1, 512), (1, 4096), (4, 2048))
SOME_GPU = Device("cuda", "a GPU of compute capability 9.0", 80 << 30, 79 << 30, capability=(9, 0))
PHI = {  # microsoft/Phi-3-mini-4k-instruct
    "model_type": "phi3",
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32064,
    "max_position_embeddings": 4096,
    "original_max_position_embeddings": 4096,
    "sliding_window": 2047,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}


def _known(name: str, **more: Any) -> dict[str, Any]:
    found = known_model(name)
    assert found is not None, name
    return {**found.config, **more}


MODELS: dict[str, dict[str, Any]] = {
    "Llama-3.1-8B": _known("meta-llama/Llama-3.1-8B-Instruct"),
    "Qwen2.5-7B": _known("Qwen/Qwen2.5-7B-Instruct"),
    "Qwen3-1.7B": _known("Qwen/Qwen3-1.7B"),
    "Mistral-7B": _known("mistralai/Mistral-7B-Instruct-v0.3", sliding_window=None),
    "Gemma-3-1B": _known("google/gemma-3-1b-it"),
    "Phi-3-mini": PHI,
    "SmolLM2-135M": _known("HuggingFaceTB/SmolLM2-135M-Instruct"),
    "Qwen3-30B-A3B": _known("Qwen/Qwen3-30B-A3B-Instruct-2507"),
}


@dataclass(frozen=True)
class Cell:
    """A step to measure. layers: how many the model has here; recompute: all of them or none."""

    model: str
    layers: int
    method: Method
    recompute: bool
    samples: int
    tokens: int

    @property
    def name(self) -> str:
        """As it is called in results."""
        keeps = "recompute" if self.recompute else "keep"
        return f"{self.model}:{self.layers} {self.method} {keeps} {self.samples}x{self.tokens}"

    @property
    def config(self) -> dict[str, Any]:
        """The config.json of its model."""
        return {**MODELS[self.model], "num_hidden_layers": self.layers}

    @property
    def plan(self) -> StepPlan:
        """One row at a time."""
        return StepPlan(self.samples * self.tokens, self.layers if self.recompute else 0)

    def job(self, folder: str = "model", output: str = "out") -> TrainConfig:
        """Three optimiser steps of two rows each."""
        return train_config(self.method, folder, output, batch=self.samples, accumulation=2)

    def recipe(self, device: Device) -> Recipe:
        """As the trainer would do it on this device."""
        return recipe_of(self.job(), {}, shape_of(self.config), device)


def train_config(method: Method, folder: str, output: str, *, batch: int, accumulation: int) -> TrainConfig:
    """The job. LoRA on random weights that are made on the device; a quantised base is read from its folder."""
    return TrainConfig(
        model_name_or_path=folder,
        output_dir=output,
        train_from_scratch=method == "lora",
        quantization_bit=4 if method == "qlora" else None,
        bf16=True,
        lora_rank=RANK,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        max_steps=3,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
    )


def matrix() -> list[Cell]:
    """96 cells: every model at no more than eight layers x LoRA, QLoRA x keeping, recomputing x rows."""
    return [
        Cell(model, DEPTH_OF_EXPERTS if "num_experts" in config else DEPTH, method, recompute, *row)
        for model, config in MODELS.items()
        for method in ("lora", "qlora")
        for recompute in (False, True)
        for row in ROWS
    ]


def whole() -> list[Cell]:
    """Eight cells, every model at its full depth; that of experts, 57 GiB, in the shortest row."""
    methods: tuple[Method, ...] = ("lora", "qlora", "lora", "qlora", "lora", "qlora", "lora", "lora")
    return [
        Cell(model, config["num_hidden_layers"], method, True, 1, 512 if "num_experts" in config else 4096)
        for (model, config), method in zip(MODELS.items(), methods, strict=True)
    ]


def quick() -> list[Cell]:
    """24 of the matrix: of each model the longest row by LoRA, kept, and by QLoRA, recomputed, and the shortest."""
    wanted = {("lora", False, 4), ("qlora", True, 4), ("qlora", False, 1)}
    return [
        cell
        for cell in matrix()
        if (cell.method, cell.recompute, cell.samples) in wanted and (cell.samples == 4 or cell.tokens == 512)
    ]


def fast(cell: Cell, device: Device) -> Parts:
    """By arithmetic."""
    return fast_estimate(shape_of(cell.config), cell.recipe(device), cell.plan).parts


def request(cell: Cell, device: Device) -> dict[str, Any]:
    """What engine.memory.trace_work is asked."""
    return {"config": cell.config, "recipe": asdict(cell.recipe(device)), "plan": asdict(cell.plan)}


def traced(cells: Iterable[Cell], device: Device, at_once: int = 1) -> dict[str, Parts]:
    """By tracing, name to parts; what cannot be traced is left out. One child for each model, so that its imports are

    paid once, so many of them at a time.
    """
    asked: dict[str, dict[str, Any]] = {}
    for cell in cells:
        asked.setdefault(cell.model, {})[cell.name] = request(cell, device)
    with ThreadPoolExecutor(at_once) as pool:
        return {name: parts for found in pool.map(traced_requests, asked.values()) for name, parts in found.items()}


def traced_requests(asked: Mapping[str, Mapping[str, Any]]) -> dict[str, Parts]:
    """The same of requests by name, in one child; what it says on its error output is shown."""
    child = subprocess.run(
        python_module("benchmarks.vram_trace"),
        input=json.dumps(asked),
        stdout=subprocess.PIPE,
        text=True,
        env={**worker_environment(), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
    )
    answers = map(json.loads, child.stdout.splitlines())
    return {answer["name"]: Parts(**answer["parts"]) for answer in answers}


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """A model folder without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
