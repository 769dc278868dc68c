"""The traced step against what torch.profiler counts in a real one."""

from __future__ import annotations

import pytest
import torch

from engine.memory.job import StepPlan
from engine.memory.trace_step import trace
from engine.memory.unroll import peak
from tests.unit.memory_truth import ARCHITECTURES, TARGETS, config_of, real_peak, recipe_of


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """What a kernel of the processor allocates for each thread is none of the step's."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


ROW = 512
PHI = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")


def traced_peak(config, recipe, plan) -> int:
    found = trace(config, recipe, plan)
    return sum(found.weights) + sum(found.trained) + max(peak(found.row).total, peak(found.update).total)


@pytest.mark.parametrize("trained", ["float32", "bfloat16"])
@pytest.mark.parametrize("recompute", [0, 3], ids=["keeping", "checkpointing"])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_peak_is_the_profilers(kind, recompute, trained):
    recipe = recipe_of(
        base="bfloat16",
        autocast="bfloat16" if trained == "float32" else None,
        trained=trained,
        state=8.0 if trained == "float32" else 4.0,
        targets=PHI if kind == "phi3" else TARGETS,
    )
    plan = StepPlan(ROW, recompute, 128)
    config = config_of(kind)
    real, traced = real_peak(config, recipe, plan), traced_peak(config, recipe, plan)
    print(kind, recompute, trained, real, traced, traced / real - 1)
    assert traced == pytest.approx(real, rel=0.005)
