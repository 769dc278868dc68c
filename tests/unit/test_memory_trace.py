"""The traced step against what torch.profiler counts in a real one."""

from __future__ import annotations

import pytest
import torch

from engine.memory.job import StepPlan
from engine.memory.trace_step import trace
from engine.memory.trace_work import held, notes_of
from engine.memory.unroll import peak
from tests.unit.memory_recipes import ARCHITECTURES, SMALL, TARGETS, config_of, recipe_of
from tests.unit.memory_truth import real_peak


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


# Of each architecture both ways of each; the other two pairs are of the same parts.
STEPS = [
    pytest.param(recompute, trained, id=f"{name}-{trained}", marks=[pytest.mark.slow] * (bool(recompute) == exact))
    for name, recompute in (("keeping", 0), ("checkpointing", 2))
    for trained, exact in (("float32", True), ("bfloat16", False))
]


@pytest.mark.parametrize(("recompute", "trained"), STEPS)
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
    assert traced == pytest.approx(real, rel=0.005)


@pytest.mark.parametrize("base", ["bfloat16", "float32"])
def test_a_row_that_is_one_chunk_of_logits(base):
    """Nothing is there of a chunk before it, and what logsumexp takes in passing decides."""
    recipe = recipe_of(base=base, autocast="bfloat16" if base == "bfloat16" else None)
    config, plan = config_of("llama", vocab_size=16384), StepPlan(ROW, 2, 2 * ROW)
    assert traced_peak(config, recipe, plan) == pytest.approx(real_peak(config, recipe, plan), rel=0.005)


DEEP = {"num_hidden_layers": 8}
SLIDING = {"layer_types": (["sliding_attention"] * 5 + ["full_attention"] + ["sliding_attention"] * 2)}
CASES = {
    "dropout": ("llama", {}, {"dropout": 0.1}, 0),
    "DoRA": ("llama", {}, {"dora": True}, 0),
    "padded": ("qwen2", {}, {"packed": False, "micro_batch": 2}, 0),
    "padded-checkpointing": ("qwen2", {}, {"packed": False, "micro_batch": 2}, 2),
    "padded-eager": ("llama", {}, {"packed": False, "micro_batch": 2, "attention": "eager"}, 0),
    "full": ("llama", {}, {"method": "full"}, 0),
    "full-tied": ("llama", {"tie_word_embeddings": True}, {"method": "full"}, 1),
    "frozen-but-the-last": ("llama", DEEP, {"method": "freeze", "trained_layers": 3}, 0),
    "embeddings-beside": ("llama", {}, {"saved": ("embed_tokens", "lm_head")}, 0),
    "deep": ("llama", DEEP, {}, 0),
    "deep-partly-recomputed": ("llama", DEEP, {"base": "bfloat16", "autocast": "bfloat16"}, 3),
    "deep-full": ("llama", DEEP, {"method": "full"}, 8),
    "two-types": ("gemma3_text", DEEP | SLIDING, {}, 0),
    "two-types-partly-recomputed": ("gemma3_text", DEEP | SLIDING, {"base": "bfloat16", "autocast": "bfloat16"}, 4),
}


SLOW = {"DoRA", "padded-checkpointing", "padded-eager", "full-tied", "deep", "deep-full", "two-types"}


@pytest.mark.parametrize(
    ("kind", "changes", "options", "recompute"),
    [pytest.param(*case, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, case in CASES.items()],
)
def test_other_steps_too(kind, changes, options, recompute):
    """`deep`: traced on three to six layers and written out for eight."""
    recipe, plan, config = recipe_of(**options), StepPlan(ROW, recompute, 128), config_of(kind, **changes)
    real, traced = real_peak(config, recipe, plan), traced_peak(config, recipe, plan)
    assert traced == pytest.approx(real, rel=0.001 if "num_hidden_layers" in changes else 0.005)


@pytest.mark.parametrize(
    ("kind", "changes", "recompute", "layers"),
    [("llama", DEEP, 0, 3), ("llama", DEEP, 8, 3), ("llama", DEEP, 3, 5), ("gemma3_text", DEEP | SLIDING, 0, 5)],
)
def test_a_few_layers_written_out_are_the_whole_stack_to_the_byte(kind, changes, recompute, layers, monkeypatch):
    """Every size comes and goes as often, the peak and what the allocator would hold are the same."""
    recipe, plan = recipe_of(kind="cuda", base="bfloat16", autocast="bfloat16"), StepPlan(ROW, recompute, 128)
    few = trace(config_of(kind, **changes), recipe, plan)
    monkeypatch.setattr("engine.memory.trace_model.representatives", lambda found: (list(range(len(found))),) * 2)
    whole = trace(config_of(kind, **changes), recipe, plan)
    assert (few.layers, whole.layers) == (layers, 8)
    assert sorted(step.size for step in few.row) == sorted(step.size for step in whole.row)
    assert peak(few.row, 512) == peak(whole.row, 512)
    assert held(few) == held(whole)


QUERY = ("q_proj", "k_proj", "v_proj", "o_proj")
FURTHER = {
    "gemma2": ({}, QUERY, 0.005),
    "granite": ({}, QUERY, 0.005),
    "gpt2": ({"n_embd": 64, "n_layer": 6, "n_head": 4}, ("c_attn", "c_proj", "c_fc"), 0.005),
    "qwen3_moe": ({"num_experts": 8, "moe_intermediate_size": 64, "decoder_sparse_step": 2}, QUERY, 0.005),
    "mixtral": ({"num_local_experts": 4}, QUERY, 0.015),  # where tokens go is not known to a trace
}


@pytest.mark.slow
@pytest.mark.parametrize("recompute", [0, 3])
@pytest.mark.parametrize("kind", FURTHER)
def test_further_architectures(kind, recompute):
    """Among them experts, layers of two types in turn, a capped head, and Conv1D in the place of linear layers."""
    more, targets, error = FURTHER[kind]
    config = {"model_type": kind, **SMALL, "num_hidden_layers": 6, "eos_token_id": 0, "bos_token_id": 0, **more}
    recipe = recipe_of(base="bfloat16", autocast="bfloat16", targets=targets)
    plan = StepPlan(ROW, recompute, 128)
    assert traced_peak(config, recipe, plan) == pytest.approx(real_peak(config, recipe, plan), rel=error)


def test_adamw_on_cuda_works_on_all_parameters_at_once():
    """Its state: two moments of each parameter. In passing a root of each second moment, all of them at a time."""
    found = trace(config_of("llama"), recipe_of(kind="cuda", update=4.0), StepPlan(ROW))
    pairs = 4 * 2 * 8 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 160))  # fp32, two layers, rank 8
    assert sum(found.trained) == 4 * pairs  # parameters, gradients and the two moments
    assert peak(found.update).total == pairs
    fused = trace(config_of("llama"), recipe_of(kind="cuda"), StepPlan(ROW))
    assert (sum(fused.trained), fused.update) == (4 * pairs, [])


def test_of_an_optimiser_that_is_not_adamw_the_state_is_counted():
    found = trace(config_of("llama"), recipe_of(kind="cuda", state=2.03), StepPlan(ROW))
    pairs = 2 * 8 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 160))
    assert sum(found.trained) == pytest.approx((4 + 4 + 2.03) * pairs, rel=1e-3)
    assert found.update == []
    assert "optimiser" in notes_of(found, recipe_of(state=2.03))
    assert "optimiser" not in notes_of(found, recipe_of(state=8.0))
