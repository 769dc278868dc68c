"""The bookkeeping of benchmarks/vram.py, on made-up measurements. Nothing is traced and no model is made."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmarks import vram
from benchmarks.vram_cells import MODELS, SOME_GPU, matrix, quick, whole
from benchmarks.vram_report import report
from benchmarks.vram_summary import Row, broken_promises, complaints, differences, errors, row_of
from engine.memory.allocator import CONTEXT
from engine.memory.job import Parts
from engine.memory.shape import shape_of

MIB = 2**20
# 1000 MiB of tensors, 200 MiB that the allocator holds beyond, and the context.
PARTS = Parts(600 * MIB, 100 * MIB, 250 * MIB, 50 * MIB, 200 * MIB + CONTEXT)
MEASURED = {"allocated": 1000 * MIB, "reserved": 1200 * MIB, "used": 1200 * MIB + CONTEXT}


def row(name="m:1 a", *, off=0.0, fast=PARTS, traced=PARTS, **measured):
    """A cell of which `off` more was allocated than predicted."""
    if not measured:
        measured = {**MEASURED, "allocated": round(MEASURED["allocated"] / (1 + off))}
    return Row(name, fast, traced, measured)


def test_the_matrix_is_that_of_the_plan():
    cells = matrix()
    assert len(cells) == len({cell.name for cell in cells}) == 96
    assert set(Counter(cell.model for cell in cells).values()) == {12} and {cell.layers for cell in cells} == {4, 8}
    assert Counter(cell.method for cell in cells) == {"lora": 48, "qlora": 48}
    assert Counter((cell.samples, cell.tokens) for cell in cells) == {(1, 512): 32, (1, 4096): 32, (4, 2048): 32}
    assert {cell.plan.recompute for cell in cells} == {0, 4, 8} and max(c.plan.row_tokens for c in cells) == 8192
    assert [cell.layers for cell in whole()] == [32, 28, 28, 32, 26, 32, 30, 48]
    assert {cell.name for cell in quick()} < {cell.name for cell in cells} and len(quick()) == 24


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # by their publishers
        ("Llama-3.1-8B", 8_030_261_248),
        ("Phi-3-mini", 3_821_079_552),
        ("SmolLM2-135M", 134_515_008),
    ],
)
def test_the_models_are_those_they_are_called(name, parameters):
    assert shape_of(MODELS[name]).parameters == parameters


def test_a_cell_is_the_job_that_it_is_called():
    for cell in matrix():
        recipe = cell.recipe(SOME_GPU)
        assert (recipe.bits, recipe.double) == ((4, True) if cell.method == "qlora" else (None, False)), cell.name
        assert recipe.packed and recipe.attention == "varlen" and recipe.rank == 16 and recipe.trained == "float32"


def test_errors_are_relative_to_what_was_measured():
    off = row(off=0.1)
    assert errors([off], "traced", "allocated").all == pytest.approx((0.1,), rel=1e-6)
    assert errors([off], "traced", "reserved").all == (0.0,) == errors([off], "fast", "used").all
    assert errors([row(failed="x"), row(traced=None)], "traced", "allocated").all == ()


def test_what_is_expected_of_the_cells():
    good = [row(f"m:1 {at}", off=0.04) for at in range(19)]
    assert complaints([*good, row(off=0.09)]) == []  # 19 of 20 within 5 %
    assert complaints([*good, row(off=0.11)]) == ["traced: 5% of the cells beyond 10% of allocated"]
    assert complaints([*good, row("n:1", off=-0.06), row("o:1", off=0.06)]) == [
        "traced: only 90% of the cells within 5% of allocated"
    ]
    assert complaints([*good, row("n:1", short="CUDA out of memory")]) == ["n:1: CUDA out of memory"]
    assert complaints([*good, row("n:1", failed="exit code -9: ?")]) == ["n:1: exit code -9: ?"]
    assert complaints([*good, row("n:1", traced=None, **MEASURED)]) == ["n:1: not traced"]
    assert complaints([*good, row("n:1", skipped="needs 99 GiB")]) == []
    assert complaints([]) == ["no cell was measured"]


def test_only_what_was_said_to_fit_must_not_run_out():
    def job(verdict, **measured):
        return {"name": verdict, "verdict": verdict, "measured": measured}

    held = [job("fits", **MEASURED), job("tight", short="out of memory"), job("no", skipped="does not fit")]
    assert broken_promises(held) == []
    assert broken_promises([*held, job("fits", short="out of memory")]) == ["fits: said to fit, out of memory"]
    assert broken_promises([job("fits", failed="exit code 1: x")]) == ["fits: said to fit, exit code 1: x"]


def test_fast_and_traced_are_compared_model_by_model():
    more = Parts(600 * MIB, 100 * MIB, 300 * MIB, 50 * MIB, 0)  # 5 % more
    found = differences([row(), row("m:1 b", fast=more), row("n:1 c", traced=None)])
    assert list(found) == ["m"] and found["m"].all == pytest.approx((0.0, 0.05))
    assert found["m"].within(0.04) == 0.5


def bench(tmp_path, answers):
    """A bench whose children answer by what they are to do, and what they were asked."""
    asked = []

    def ask(request):
        asked.append(request)
        return answers(request)

    return vram.Bench(SOME_GPU, tmp_path, ask), asked


def predict(cells, device, at_once):
    return [Row(cell.name, PARTS, PARTS, {}) for cell in cells]


def test_a_run_goes_on_where_it_was_and_tries_failures_again(tmp_path):
    file = tmp_path / "out" / "vram_measured.json"
    lora, qlora, other = (cell for cell in quick() if cell.model == "Qwen3-1.7B")
    failing, asked = bench(tmp_path, lambda request: {"failed": "x"} if request["method"] == "lora" else MEASURED)
    first = [lora]
    vram.measure(failing, first, file, -1, predict)  # no time: nothing is begun
    assert not asked and not file.exists()
    good, asked = bench(tmp_path, lambda request: {} if request["do"] == "weights" else MEASURED)
    good.job = lambda *job: {"verdict": "fits", "plan": {}, "needed": 1, "measured": MEASURED}
    failing.job = good.job
    assert vram.measure(failing, first, file, 1, predict)
    assert row_of(lora.name, json.loads(file.read_text())["cells"][lora.name]).outcome == "failed"
    assert vram.measure(good, [lora, qlora, other], file, 1, predict)
    assert [request["do"] for request in asked] == ["step", "weights", "step", "step"]  # one base for both
    rows = vram.rows_of(json.loads(file.read_text()))
    assert [one.outcome for one in rows] == ["measured"] * 3 and complaints(rows) == []
    asked.clear()
    assert vram.measure(good, [lora, qlora, other], file, 1, predict) and not asked


def test_a_cell_is_asked_as_it_is_predicted(tmp_path):
    one, asked = bench(tmp_path, lambda request: MEASURED)
    cell = matrix()[5]
    assert one.cell(cell, 0) == MEASURED
    (request,) = asked
    assert request["plan"]["row_tokens"] == request["batch"] * request["tokens"] == 8192
    assert (request["plan"]["recompute"], request["config"]["num_hidden_layers"]) == (8, 8)
    assert one.cell(cell, 2 * SOME_GPU.free)["skipped"] and len(asked) == 1


def test_the_report_says_what_is_not_measured(tmp_path):
    record = {**vram.about("predicted"), "cells": {cell.name: row(cell.name).as_dict() for cell in whole()}}
    for name in ("predictions", "measured"):
        vram.write(tmp_path / f"vram_{name}.json", {**record, "boundary": []})
    assert "Not as expected: nothing" in report(tmp_path) and "Nothing here was measured" not in report(tmp_path)
    (tmp_path / "vram_measured.json").unlink()
    assert "Nothing here was measured on a GPU" in report(tmp_path)
