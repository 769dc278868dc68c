"""A child of benchmarks/vram.py: one job in a process of its own. JSON on its input, JSON as the last line it writes.

    {"do": "step", "folder", "config", "method", "plan", "batch", "accumulation", "tokens", "limit", "device"}
    {"do": "weights", "folder", "config", "device"}     random weights written to a folder, for a base in 4 bits
    {"do": "profile", "config", "recipe", "plan"}       torch.profiler's peak of the same step on the processor

A step is the trainer's own: its model, its arguments, its StepTrainer, three optimiser steps of `accumulation` times
`batch` samples of `tokens` tokens, without probe and retry. What comes out is {"allocated", "reserved", "used",
"losses", "seconds"}, or {"short": words} where memory ran out. `used`: what NVML sees more of than before this process
touched the GPU. `limit`: bytes that the process may take, the CUDA context by its assumed size included; it is set when
the model is loaded, 0 for none.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PrinterCallback

from benchmarks.vram_cells import train_config, write_config
from engine.data.encoded import Encoded, EncodeReport
from engine.hardware import probe
from engine.memory.allocator import CONTEXT
from engine.memory.job import Recipe, StepPlan
from engine.train.arguments import training_arguments
from engine.train.batches import Pad, TokenRows
from engine.train.methods import prepare_model
from engine.train.model import skip_adapter_casts
from engine.train.precision import choose_precision
from engine.train.recompute import recompute_layers
from engine.train.shortage import is_shortage
from engine.train.trainer import StepTrainer

STEPS = 3


def step(asked: dict[str, Any]) -> dict[str, Any]:
    """See the module's docstring."""
    device = torch.device(asked["device"])
    before = _used() if device.type == "cuda" else {}
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as output:
            losses = _train(asked, device, output)
    except Exception as error:
        if not is_shortage(error):
            raise
        return {"short": str(error)[:300]}
    found: dict[str, Any] = {"losses": losses, "seconds": round(time.monotonic() - started, 1)}
    if device.type == "cuda":
        uuid = str(torch.cuda.get_device_properties(device).uuid)
        name = next(name for name in before if name.endswith(uuid))
        found |= {
            "allocated": torch.cuda.max_memory_allocated(),
            "reserved": torch.cuda.max_memory_reserved(),
            "used": _used()[name] - before[name],
        }
    return found


def _train(asked: dict[str, Any], device: torch.device, output: str) -> list[float]:
    """The losses of the steps; on a GPU its statistics are those of the steps."""
    plan = msgspec.convert(asked["plan"], StepPlan)
    folder, batch, accumulation = Path(asked["folder"]), asked["batch"], asked["accumulation"]
    config = train_config(asked["method"], str(folder), output, batch=batch, accumulation=accumulation)
    if config.train_from_scratch:
        write_config(folder, asked["config"])
    precision = choose_precision(config, device, torch.bfloat16)
    with device if config.train_from_scratch else contextlib.nullcontext():  # made where they stay
        model = prepare_model(config, folder, None, precision, device, lambda problem: None)
    if precision.autocast:
        skip_adapter_casts(model)
    recompute_layers(model, plan.recompute)
    trainer = StepTrainer(
        model=model,
        args=training_arguments(config, {}, precision, device, []),
        train_dataset=_rows(STEPS * batch * accumulation, asked["tokens"], asked["config"]["vocab_size"]),
        data_collator=Pad(0),
        packed=True,
        plan=plan,
    )
    trainer.remove_callback(PrinterCallback)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        if asked["limit"]:
            room = (asked["limit"] - CONTEXT) / torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, room))
        torch.cuda.reset_peak_memory_stats()
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def _rows(samples: int, tokens: int, vocab: int) -> TokenRows:
    """Random tokens, all of them labelled."""
    draw = np.random.default_rng(0)
    ids = draw.integers(3, min(vocab, 30_000), samples * tokens, dtype=np.int32)
    offsets = np.arange(0, samples * tokens + 1, tokens)
    return TokenRows(Encoded(ids, ids.copy(), offsets, EncodeReport(tokens, longest=tokens)))


def _used() -> dict[str, int]:
    """Bytes taken on each GPU, by its UUID."""
    return {gpu.uuid: gpu.total - gpu.free for gpu in probe().gpus}


def weights(asked: dict[str, Any]) -> dict[str, Any]:
    """A model folder with random weights in bfloat16."""
    wanted = AutoConfig.for_model(**asked["config"])
    with torch.device(asked["device"]):
        model = AutoModelForCausalLM.from_config(wanted, dtype=torch.bfloat16)
    model.save_pretrained(asked["folder"])
    return {}


def profile(asked: dict[str, Any]) -> dict[str, Any]:
    """The peak by the allocation events of torch.profiler, counted as the tests count it."""
    from tests.unit.memory_truth import real_peak

    torch.set_num_threads(2)
    recipe, plan = msgspec.convert(asked["recipe"], Recipe), msgspec.convert(asked["plan"], StepPlan)
    return {"allocated": real_peak(asked["config"], recipe, plan)}


def main() -> None:
    """One request."""
    asked = json.load(sys.stdin)
    answer = {"step": step, "weights": weights, "profile": profile}[asked["do"]](asked)
    print(f"\n{json.dumps(answer)}", flush=True)


if __name__ == "__main__":
    main()
