"""The fast estimate by arithmetic on paper: what stays, how it grows, and what a plan changes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from engine.memory.allocator import CONTEXT, PROCESS, WORKSPACE
from engine.memory.fast import costs_of, fast_estimate, trained_parameters
from engine.memory.job import Parts, Recipe, StepPlan
from engine.memory.shape import shape_of
from tests.unit.memory_configs import FAMILIES, REAL

SMOL = shape_of(REAL["SmolLM2-135M"])
LLAMA = shape_of(REAL["Llama-3.1-8B"])
# Of a Llama layer with an adapter of rank 1: inputs + outputs of each linear layer.
SMOL_SIDES = 2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536)
LLAMA_LINEAR = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)


def a_recipe(**changes: Any) -> Recipe:
    """LoRA of rank 16 on all linear layers, bf16 under autocast, on a GPU."""
    usual: dict[str, Any] = {
        "kind": "cuda", "method": "lora", "base": "bfloat16", "bits": None, "double": False, "autocast": "bfloat16",
        "trained": "float32", "rank": 16, "dropout": 0.0, "dora": False,
        "targets": ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"),
        "saved": (), "trained_layers": 0, "state": 8.0, "packed": True, "micro_batch": 1, "attention": "varlen",
    }  # fmt: skip
    return Recipe(**{**usual, **changes})


def parts(shape: Any = SMOL, plan: StepPlan | None = None, **changes: Any) -> Parts:
    """Of a step of 2048 tokens that keeps everything."""
    return costs_of(shape, a_recipe(**changes)).parts(plan or StepPlan(2048))


def test_what_stays_of_a_lora_run() -> None:
    found = parts()
    assert found.weights == 134_515_008 * 2
    assert found.trained == 30 * 16 * SMOL_SIDES * (4 + 4 + 8)


def test_what_stays_of_full_training() -> None:
    found = parts(method="full", base="float32", targets=())
    assert (found.weights, found.trained) == (0, 134_515_008 * 16)
    pure = parts(method="full", trained="bfloat16", autocast=None, targets=(), state=4.0)
    assert (pure.weights, pure.trained) == (0, 134_515_008 * 8)


def test_what_stays_with_two_layers_that_learn() -> None:
    layer = SMOL.layers[0].parameters
    found = parts(method="freeze", targets=(), trained_layers=2)
    assert found.weights == (134_515_008 - 2 * layer) * 2
    assert found.trained == 2 * layer * 16
    assert parts(method="freeze", targets=(), trained_layers=-2).trained == found.trained


def test_four_bits_with_constants_quantised_too() -> None:
    beside = LLAMA.parameters - LLAMA_LINEAR
    expected = LLAMA_LINEAR * (0.5 + 1 / 64 + 4 / (64 * 256)) + beside * 2
    assert parts(LLAMA, bits=4, double=True).weights == round(expected)
    assert expected / LLAMA_LINEAR == pytest.approx(0.51587 + beside * 2 / LLAMA_LINEAR, abs=1e-5)
    assert parts(LLAMA, bits=4).weights == round(LLAMA_LINEAR * (0.5 + 4 / 64) + beside * 2)


def test_eight_bits_with_a_scale_for_each_row() -> None:
    rows = 32 * (2 * 4096 + 2 * 1024 + 2 * 14336 + 4096)
    beside = LLAMA.parameters - LLAMA_LINEAR
    assert parts(LLAMA, bits=8).weights == LLAMA_LINEAR + 4 * rows + beside * 2


def test_a_checkpoint_that_is_quantised_already_weighs_what_its_files_hold() -> None:
    shape = replace(LLAMA, quantised="gptq", bits=4, stored=5_700_000_000)
    assert parts(shape, bits=4).weights == 5_700_000_000


def test_modules_trained_in_full_beside_an_adapter_are_copies() -> None:
    more = parts(saved=("embed_tokens", "lm_head"), attention="sdpa").trained - parts(attention="sdpa").trained
    assert more == 2 * 49152 * 576 * 16
    assert parts(saved=("embed_tokens",), attention="sdpa").weights == parts().weights


def test_dora_learns_a_length_for_each_output() -> None:
    outputs = 576 * 2 + 192 * 2 + 1536 * 2 + 576
    assert trained_parameters(SMOL, a_recipe(dora=True)) - trained_parameters(SMOL, a_recipe()) == 30 * outputs


def test_kept_activations_of_a_llama_layer_by_hand() -> None:
    """bf16 under autocast, rank 16, variable-length attention: a token's bytes in one of Llama-3.1-8B's layers."""
    hidden, wide, keys = 4096, 14336, 1024
    norms = 2 * (4 * hidden + 4)  # each input in fp32, and the reciprocal root
    inputs = 2 * hidden + 2 * hidden  # of q, k, v together, and of gate and up; that of o is the kernel's output
    attention = 2 * (hidden + 2 * keys + hidden) + 4 * 32  # q, k, v, output, log-sum-exp
    mlp = 4 * 2 * wide  # gate, its activation, up, the product
    adapters = 7 * 2 * 16
    assert costs_of(LLAMA, a_recipe()).layers[5].kept == norms + inputs + attention + mlp + adapters


def test_activations_grow_with_tokens_and_fall_with_each_layer_that_recomputes() -> None:
    costs = costs_of(LLAMA, a_recipe())
    one, two, four = (costs.parts(StepPlan(tokens)) for tokens in (2048, 4096, 8192))
    assert (four.activations - two.activations) == pytest.approx(2 * (two.activations - one.activations), rel=1e-6)
    needs = [costs.parts(StepPlan(4096, depth)).total for depth in range(33)]
    assert needs == sorted(needs, reverse=True)
    assert needs[-1] < 0.6 * needs[0]


def test_a_smaller_chunk_shrinks_the_head_alone() -> None:
    large, small = (parts(LLAMA, StepPlan(2048, 32, chunk)) for chunk in (1024, 512))
    # Logits in fp32 and as much again inside logsumexp.
    assert large.head - small.head == 512 * 128256 * (4 + 4)
    assert large.activations == small.activations


def test_the_head_of_padded_micro_batches_has_logits_everywhere() -> None:
    found = parts(SMOL, StepPlan(4 * 512), packed=False, micro_batch=4, attention="sdpa")
    assert found.head == pytest.approx(12 * 49152 * 2048, rel=0.02)


def test_eager_attention_keeps_a_score_for_each_pair_of_a_sample() -> None:
    longer, shorter = (
        parts(SMOL, StepPlan(4096), packed=False, micro_batch=many, attention="eager").activations for many in (1, 4)
    )
    assert longer - shorter == 30 * 9 * (4 + 2) * (4096 * 4096 - 4 * 1024 * 1024)


def test_below_the_first_layer_that_learns_nothing_is_kept() -> None:
    layers = costs_of(SMOL, a_recipe(method="freeze", targets=(), trained_layers=2)).layers
    assert [layer.kept > 0 for layer in layers] == [False] * 28 + [True] * 2
    lowest = costs_of(SMOL, a_recipe(method="freeze", targets=(), trained_layers=-2)).layers
    assert all(layer.kept > 0 for layer in lowest)
    assert lowest[0].kept > lowest[5].kept


def test_dropout_keeps_an_input_and_a_mask_for_each_adapter() -> None:
    with_, without = (costs_of(SMOL, a_recipe(dropout=rate)).layers[0].kept for rate in (0.1, 0.0))
    shared = 2 * (576 + 576 + 1536)  # o's input is the kernel's output either way
    assert with_ - without == (2 + 1) * (6 * 576 + 1536) - shared


def test_what_the_optimiser_takes_in_passing_is_a_peak_of_its_own() -> None:
    full = {"method": "full", "trained": "bfloat16", "autocast": None, "targets": (), "state": 4.0}
    plain, foreach = (parts(LLAMA, StepPlan(256, 32), **full, update=size) for size in (0.0, 2.0))
    assert foreach.activations == 2 * LLAMA.parameters
    assert plain.activations < 1 << 30


def test_the_reserve() -> None:
    found = parts()
    come_and_go, stay = found.activations + found.head, found.weights + found.trained
    assert found.reserve - CONTEXT - WORKSPACE == pytest.approx(0.1 * come_and_go + 0.01 * stay, abs=1)
    assert parts(kind="cpu", attention="sdpa").reserve == PROCESS


def test_the_error_is_larger_where_less_was_compared() -> None:
    plan = StepPlan(1024)
    assert fast_estimate(SMOL, a_recipe(), plan).error == 0.05
    assert fast_estimate(shape_of(FAMILIES["qwen3_moe"]), a_recipe(), plan).error == 0.15
    unknown = fast_estimate(shape_of({**REAL["SmolLM2-135M"], "model_type": "novel"}), a_recipe(), plan)
    assert (unknown.error, unknown.level) == (0.15, "fast")
    assert "novel" in unknown.notes[0].say()


def test_no_torch() -> None:
    code = "import sys, engine.memory.fast, engine.memory.recipe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
