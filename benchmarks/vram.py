"""The memory estimates against what a step really takes.

    python -m benchmarks.vram [--cells quick|all] [--minutes N] [--out FOLDER] [--work FOLDER]
    python -m benchmarks.vram --report      writes the tables (vram.md) anew from the records in --out

With a GPU: every cell of the matrix (vram_cells.py) is predicted, then run in a process of its own (vram_step.py):
three steps of the trainer on random weights. Written after every cell (vram_measured.json), so a run that was cut off
goes on where it was. Then jobs at the boundary: with 24, 40 and 48 GiB the plan that a run would choose is run under a
cap of that size. Exit code 1 where an expectation does not hold: traced within 5 % of allocated bytes in 95 % of the
cells and within 10 % in all, and no job that was said to fit runs out.

Without one: the same predictions, for whoever has a GPU (vram_predictions.json); and what a processor can show
(vram_cpu.json): real steps there against torch.profiler, and what the estimates themselves take.

vram.md is written from those of the three records that are there.

It imports engine, templates and (for the processor) tests, from this checkout, which need not be installed; no front
end. Beside torch, transformers, accelerate, safetensors, numpy, psutil, PyYAML, filelock, huggingface_hub, nvidia-ml-py
these must be there: peft and platformdirs (pure Python), msgspec (a wheel for the Python at hand), and for QLoRA
bitsandbytes. Cells of QLoRA write their random base to --work first: 6 GB at a time, 17 GB for whole models.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import vram_cells, vram_processor, vram_summary
from benchmarks.vram_cells import MODELS, SOME_GPU, Cell, Method
from benchmarks.vram_report import report, rows_of
from benchmarks.vram_summary import GIB, Row
from engine.hardware import host, probe
from engine.memory.case import Case
from engine.memory.fast import costs_of
from engine.memory.job import DataShape, Device
from engine.memory.places import device_of
from engine.memory.recipe import recipe_of
from engine.memory.settling import settle
from engine.memory.shape import shape_of
from engine.memory.traced import traced_estimate
from engine.runs.launch import python_module, worker_environment

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes")
LIMITS = (24, 40, 48)  # GiB
BATCH, ACCUMULATION = 4, 4
JOBS: tuple[tuple[str, Method, int], ...] = (  # tokens of every sample
    ("Llama-3.1-8B", "lora", 4096),
    ("Llama-3.1-8B", "qlora", 4096),
    ("Qwen2.5-7B", "lora", 2048),
    ("Qwen3-1.7B", "lora", 4096),
    ("Gemma-3-1B", "lora", 2048),
    ("SmolLM2-135M", "lora", 8192),
)
Ask = Callable[[dict[str, Any]], dict[str, Any]]


def ask(request: dict[str, Any], *, uuid: str = "", timeout: float = 300) -> dict[str, Any]:
    """What a child (vram_step.py) answers, or {"failed": why}. uuid: the one GPU that it sees."""
    command = python_module("benchmarks.vram_step")
    environment = {**worker_environment(), "CUDA_VISIBLE_DEVICES": uuid}
    asked = json.dumps(request)
    try:
        child = subprocess.run(command, input=asked, capture_output=True, text=True, env=environment, timeout=timeout)
    except subprocess.TimeoutExpired:
        return {"failed": f"it took more than {timeout:g} s"}
    if child.returncode:
        said = [line.strip() for line in child.stderr.splitlines() if line.strip()]
        return {"failed": f"exit code {child.returncode}: {(said or ['?'])[-1][:300]}"}
    found: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return found


@dataclass
class Bench:
    """Runs cells on a GPU. work: where random bases are written, one at a time. ask: runs a child."""

    device: Device
    work: Path
    ask: Ask
    _base: str = ""

    def cell(self, cell: Cell, needed: int) -> dict[str, Any]:
        """What was measured of it; `needed`: bytes by its prediction, for what cannot fit at all."""
        if needed > 1.1 * self.device.free:
            return {"skipped": f"needs {needed / GIB:.1f} GiB"}
        rows = {"batch": cell.samples, "accumulation": 2, "tokens": cell.tokens, "limit": 0}
        return self.run(cell.model, cell.config, cell.method, {**rows, "plan": asdict(cell.plan)})

    def run(self, model: str, config: dict[str, Any], method: Method, rows: dict[str, Any]) -> dict[str, Any]:
        """A step of this model; a quantised base is written first unless it is the last one written."""
        name = f"{model}-{config['num_hidden_layers']}"
        request = {"config": config, "device": "cuda:0", "folder": str(self.work / "bare")}
        if method == "qlora":
            request["folder"] = str(self.work / name)
            if self._base != name:
                if self._base:
                    shutil.rmtree(self.work / self._base)
                self._base = name
                written = self.ask({**request, "do": "weights"})
                if written:  # a failure
                    shutil.rmtree(self.work / name, ignore_errors=True)
                    self._base = ""
                    return written
        return self.ask({**request, **rows, "do": "step", "method": method})

    def job(self, model: str, method: Method, tokens: int, gib: int) -> dict[str, Any]:
        """{"verdict", "plan", "needed", "measured"} of the plan that a run would choose with so much free memory."""
        device = replace(self.device, total=gib * GIB, free=gib * GIB)
        shape = shape_of(MODELS[model])
        config = vram_cells.train_config(method, "model", "out", batch=BATCH, accumulation=ACCUMULATION)
        recipe = recipe_of(config, {}, shape, device)
        costs = costs_of(shape, recipe)
        samples = 3 * BATCH * ACCUMULATION
        data = DataShape(samples, samples * tokens, samples * (tokens - 1), tokens)
        case = Case(config, {}, data, device, len(shape.layers), device.free, lambda _: (recipe, costs))
        said = settle(case, shape, MODELS[model], trace=traced_estimate)
        plan = said.estimate.plan
        measured: dict[str, Any] = {"skipped": "the card has less" if said.verdict != "no" else "does not fit"}
        if said.verdict != "no" and device.free <= self.device.free:
            rows = {"batch": BATCH, "accumulation": ACCUMULATION, "tokens": tokens, "limit": device.free}
            measured = self.run(model, MODELS[model], method, {**rows, "plan": asdict(plan)})
        level, needed = said.estimate.level, said.estimate.needed
        return {"verdict": said.verdict, "level": level, "plan": asdict(plan), "needed": needed, "measured": measured}


def predicted(cells: list[Cell], device: Device, at_once: int) -> list[Row]:
    """Both levels of every cell."""
    traced = vram_cells.traced(cells, device, at_once)
    return [Row(cell.name, vram_cells.fast(cell, device), traced.get(cell.name), {}) for cell in cells]


def measure(
    bench: Bench,
    cells: list[Cell],
    file: Path,
    minutes: float,
    predict: Callable[[list[Cell], Device, int], list[Row]] = predicted,
) -> bool:
    """Run what `file` does not have yet, as long as there is time; whether all of it is there now."""
    until = time.monotonic() + 60 * minutes
    known = json.loads(file.read_text()) if file.exists() else {}
    head = about(f"{bench.device.name}, {bench.device.free / GIB:.1f} GiB free")
    record = {**head, "cells": {}, "boundary": [], **({} if _outdated(known, head) else known)}
    done = {row.name for row in rows_of(record) if row.outcome != "failed"}
    fresh = [cell for cell in cells if cell.name not in done]
    for row, cell in zip(predict(fresh, bench.device, max(1, (os.cpu_count() or 1) // 2)), fresh, strict=True):
        if time.monotonic() > until:
            return False
        measured = bench.cell(cell, (row.traced or row.fast).total)
        record["cells"][cell.name] = replace(row, measured=measured).as_dict()
        tell(cell.name, measured)
        write(file, record)
    record["boundary"] = [job for job in record["boundary"] if "failed" not in job["measured"]]
    done = {job["name"] for job in record["boundary"]}
    for model, method, tokens in JOBS:
        for gib in LIMITS:
            name = f"{model} {method} {tokens} tokens, {gib} GiB"
            if name in done:
                continue
            if time.monotonic() > until:
                return False
            record["boundary"].append({"name": name, **bench.job(model, method, tokens, gib)})
            tell(name, record["boundary"][-1]["measured"])
            write(file, record)
    return True


def _outdated(known: dict[str, Any], head: dict[str, Any]) -> bool:
    """Whether it was measured with other libraries."""
    return bool(known.get("versions") != head["versions"])


def processor(out: Path, cells: list[Cell]) -> None:
    """What can be had without a GPU."""
    rows = predicted(cells, SOME_GPU, 1)
    head = about(f"predicted for {SOME_GPU.name}; nothing measured on a GPU")
    write(out / "vram_predictions.json", {**head, "cells": {row.name: row.as_dict() for row in rows}})
    here = host()
    record: dict[str, Any] = {**about(f"{here.cpu}, {os.cpu_count()} shared cores, no GPU"), "steps": {}, "takes": {}}
    for name, found in vram_processor.real_steps(ask):
        record["steps"][name] = found
        tell(name, found)
        write(out / "vram_cpu.json", record)
    for name, times in vram_processor.timings(SOME_GPU):
        record["takes"][name] = times
        tell(name, times)
        write(out / "vram_cpu.json", record)


def about(device: str) -> dict[str, Any]:
    """Date, versions, device."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "none"
    return {"date": f"{datetime.now(UTC):%Y-%m-%d}", "versions": versions, "device": device}


def tell(name: str, found: dict[str, Any]) -> None:
    """Progress."""
    print(f"{name}: {found}", file=sys.stderr, flush=True)


def write(file: Path, record: dict[str, Any]) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".tmp")
    fresh.write_text(json.dumps(record, indent=1) + "\n")
    fresh.replace(file)


def wanted(which: str) -> list[Cell]:
    """The cells that --cells names."""
    return vram_cells.quick() if which == "quick" else [*vram_cells.matrix(), *vram_cells.whole()]


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """So that each base in 4 bits is written once."""
    return sorted(cells, key=lambda cell: (list(MODELS).index(cell.model), cell.layers, cell.method))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", choices=["quick", "all"], default="all")
    parser.add_argument("--report", action="store_true", help="measure nothing: write vram.md from what is there")
    parser.add_argument("--minutes", type=float, default=600, help="with a GPU: no cell begins later than this")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--work", type=Path, help="scratch folder; default: a temporary one")
    options = parser.parse_args()
    if options.report:
        (options.out / "vram.md").write_text(report(options.out))
        return
    # Children find this checkout, whatever is installed.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    cells, hardware, complete = wanted(options.cells), probe(), True
    wrong: list[str] = []
    if hardware.gpus:
        device, _ = device_of(None, hardware, host())
        file = options.out / "vram_measured.json"
        with tempfile.TemporaryDirectory(dir=options.work, prefix="vram-") as work:
            bench = Bench(device, Path(work), lambda request: ask(request, uuid=device.uuid))
            complete = measure(bench, in_order(cells), file, options.minutes)
        record = json.loads(file.read_text())
        wrong = [*vram_summary.complaints(rows_of(record)), *vram_summary.broken_promises(record["boundary"])]
    else:
        processor(options.out, cells)
    (options.out / "vram.md").write_text(report(options.out))
    for complaint in wrong:
        print(complaint)
    if not complete:
        print("not all cells were run: start it again")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
