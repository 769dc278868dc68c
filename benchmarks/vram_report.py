"""benchmarks/results/vram.md, from the records that benchmarks/vram.py made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import vram_cells, vram_summary
from benchmarks.vram_processor import CALLS
from benchmarks.vram_summary import GIB, Row, row_of


def report(out: Path) -> str:
    """vram.md from the files that are there."""
    lines = ["# The memory estimates", "", "Made by benchmarks/vram.py."]
    lines += ["" if (out / "vram_measured.json").exists() else "\n**Nothing here was measured on a GPU.**"]
    for name, section in (("measured", measured_section), ("predictions", predictions), ("cpu", processor_section)):
        file = out / f"vram_{name}.json"
        if file.exists():
            found = json.loads(file.read_text())
            versions = ", ".join(f"{package} {number}" for package, number in found["versions"].items())
            title, *rest = section(found)
            lines += ["", f"## {title}", "", f"{found['date']}, {found['device']}, {versions}.", "", *rest]
    return "\n".join(lines) + "\n"


def rows_of(record: dict[str, Any]) -> list[Row]:
    """The cells of a file."""
    return [row_of(name, recorded) for name, recorded in record["cells"].items()]


def measured_section(record: dict[str, Any]) -> list[str]:
    """Of vram_measured.json."""
    jobs = [
        (job["name"], job["verdict"], f"{job['needed'] / GIB:.2f}", json.dumps(job["plan"]), outcome(job["measured"]))
        for job in record["boundary"]
    ]
    wrong = [*vram_summary.complaints(rows_of(record)), *vram_summary.broken_promises(record["boundary"])]
    return [
        "On a GPU",
        *(f"- Not as expected: {complaint}" for complaint in wrong or ["nothing"]),
        "",
        *vram_summary.measured_tables(rows_of(record)),
        "",
        "Jobs at the boundary, run under a cap of the free memory that they were planned for:",
        "",
        *vram_summary.table(("job", "said", "needs, GiB", "plan", "came to"), jobs),
    ]


def outcome(measured: dict[str, Any]) -> str:
    """In a table."""
    if "reserved" in measured:
        return f"{measured['reserved'] / GIB:.2f} GiB reserved, {measured['used'] / GIB:.2f} used"
    return ", ".join(f"{name}: {words}" for name, words in measured.items())


def predictions(record: dict[str, Any]) -> list[str]:
    """Of vram_predictions.json."""
    rows = rows_of(record)
    whole = {cell.name for cell in vram_cells.whole()}
    all_in = vram_summary.totals(rows)
    return [
        "Predicted for a GPU, by arithmetic and by tracing",
        "LoRA and 4-bit QLoRA of rank 16, layers that keep and that recompute, rows of 512, 4096 and 4 x 2048 tokens,",
        "up to eight layers (four with experts), and each model at its full depth once. fast / traced - 1 of allocated",
        "bytes:",
        "",
        *vram_summary.difference_table(rows),
        "",
        f"With the allocator's reserve: {all_in.least:+.1%} to {all_in.most:+.1%}, median {all_in.middle:+.1%}.",
        "",
        "Whole models, GiB; `reserve` is the allocator's and CUDA's context, neither checked against a GPU:",
        "",
        *vram_summary.prediction_table([row for row in rows if row.name in whole]),
    ]


def processor_section(record: dict[str, Any]) -> list[str]:
    """Of vram_cpu.json."""
    steps = []
    for name, found in record["steps"].items():
        size = found.get("allocated")
        ratios = (f"{found[level] / size - 1:+.2%}" if size and found[level] else "" for level in ("traced", "fast"))
        steps.append((name, f"{size / 2**20:.1f}" if size else outcome(found), *ratios))
    takes = [
        (
            model,
            f"{found['fast_ms']:.2f}",
            f"{found['traced_s']:.1f}",
            f"{found['whole_s']:.1f}",
            f"{found['resident'] / GIB:.2f}",
        )
        for model, found in record["takes"].items()
    ]
    return [
        "On a processor",
        "Peaks of real LoRA steps on random weights (two rows and the optimiser's step, two threads) by the allocation",
        "events of torch.profiler, and predicted / measured - 1:",
        "",
        *vram_summary.table(("step", "allocated, MiB", "traced", "fast"), steps),
        "",
        f"What the estimates take, at full depth: fast from config.json to its parts (median of {CALLS}",
        "calls), traced after imports, its child from start to end, and the child's peak memory. The cores were shared",
        "with other work.",
        "",
        *vram_summary.table(("model", "fast, ms", "traced, s", "child, s", "its peak, GiB"), takes),
    ]
