"""The proof must pass for a right merge and fail for a wrong one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.merge.prove import Proof, prove
from tests.unit.merge_toys import LINEAR, PROMPTS, merge, plain_logits, save_adapter, save_base, tensors, tuned_logits


def proof(base: Path, adapter: Path, out: Path, **options: Any) -> Proof:
    return prove(base, adapter, out, **({"prompts": PROMPTS, "memory_limit_bytes": None} | options))


def codes(result: Proof) -> list[str]:
    return [note.code for note in result.notes]


def damage(out: Path, name: str, change: float) -> None:
    held = tensors(out)
    held[name].view(-1)[5] += change
    save_file(held, out / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("kind", "tied", "lora"),
    [
        ("llama", False, {}),
        ("qwen2", True, {"use_rslora": True}),
        ("gemma2", True, {}),
        ("llama", True, {"target_modules": [*LINEAR, "lm_head"]}),
        ("llama", True, {"target_modules": [*LINEAR, "embed_tokens"]}),
        ("qwen2", False, {"use_dora": True}),
        ("qwen2", False, {"bias": "all"}),
        ("llama", True, {"modules_to_save": ["embed_tokens", "norm"]}),
        ("llama", False, {"trainable_token_indices": [5, 20]}),
    ],
)
def test_a_right_merge_passes_by_its_answers(tmp_path: Path, kind: str, tied: bool, lora: dict[str, Any]) -> None:
    base = save_base(tmp_path / "base", kind, tied=tied)
    adapter = save_adapter(tmp_path / "adapter", base, **lora)
    report = merge(base, adapter, tmp_path / "out")
    result = proof(base, adapter, tmp_path / "out")
    assert result.method == "logits" and result.passed and not result.changes_nothing and codes(result) == []
    assert result.ratio is not None and result.ratio < 1e-5
    assert result.tensors_checked == report.tensors and result.tokens == 9


def test_its_figures_are_those_of_whole_models(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2", dtype="bfloat16")
    adapter = save_adapter(tmp_path / "adapter", base)
    merge(base, adapter, tmp_path / "out")
    result = proof(base, adapter, tmp_path / "out", prompts=PROMPTS[:1])
    tuned = tuned_logits(base, adapter)[0].double().log_softmax(-1)
    error, effect = (
        torch.nn.functional.kl_div(
            plain_logits(of)[0].double().log_softmax(-1), tuned, log_target=True, reduction="batchmean"
        )
        for of in (tmp_path / "out", base)
    )
    assert result.error == pytest.approx(error.item(), rel=1e-2)
    assert result.adapter_effect == pytest.approx(effect.item(), rel=1e-3)
    assert result.passed and result.ratio == pytest.approx((error / effect).item(), rel=1e-2)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model.layers.1.mlp.down_proj.weight", 0.05),  # touched by the adapter
        ("model.embed_tokens.weight", 0.01),  # not touched, and its token is in no prompt
    ],
)
def test_one_damaged_number_fails(tmp_path: Path, name: str, change: float) -> None:
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base)
    merge(base, adapter, tmp_path / "out")
    damage(tmp_path / "out", name, change)
    result = proof(base, adapter, tmp_path / "out")
    assert not result.passed and "merge_proof_tensors" in codes(result)
    assert result.notes[0].params["tensor"] == name


def test_a_few_units_in_the_last_place_fail(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", dtype="bfloat16")
    adapter = save_adapter(tmp_path / "adapter", base)
    merge(base, adapter, tmp_path / "out")
    name = "model.layers.0.mlp.gate_proj.weight"
    value = abs(tensors(tmp_path / "out")[name].view(-1)[5].item())
    damage(tmp_path / "out", name, 3 * value * torch.finfo(torch.bfloat16).eps)
    result = proof(base, adapter, tmp_path / "out")
    assert not result.passed and result.notes[0].params["tensor"] == name


def test_answers_fail_where_the_weights_are_the_base_models(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base)
    result = proof(base, adapter, base)
    assert not result.passed and result.ratio == pytest.approx(1)


def test_a_missing_tensor_fails(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base)
    merge(base, adapter, tmp_path / "out")
    held = tensors(tmp_path / "out")
    del held["model.norm.weight"]
    save_file(held, tmp_path / "out" / "model.safetensors", metadata={"format": "pt"})
    result = proof(base, adapter, tmp_path / "out")
    assert not result.passed and str(result.notes[0].params["reason"]) == "missing"


def test_an_adapter_that_changes_nothing_is_named(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", dtype="bfloat16")
    adapter = save_adapter(tmp_path / "adapter", base, scale=0.0)
    merge(base, adapter, tmp_path / "out")
    result = proof(base, adapter, tmp_path / "out")
    assert result.changes_nothing and result.passed and result.adapter_effect == 0
    assert codes(result) == ["merge_changes_nothing"]


def test_an_effect_below_rounding_is_told_and_no_failure(tmp_path: Path) -> None:
    """A short training of one's own must not end in an error that nothing but more training removes."""
    base = save_base(tmp_path / "base", dtype="bfloat16")
    adapter = save_adapter(tmp_path / "adapter", base, scale=0.0005)
    merge(base, adapter, tmp_path / "out")
    result = proof(base, adapter, tmp_path / "out")
    assert result.passed and codes(result) == ["merge_proof_rounding"] and result.notes[0].severity == "warning"
    assert result.ratio is not None and result.ratio > 0.1
    merge(base, adapter, tmp_path / "wide", dtype="float32")
    assert proof(base, adapter, tmp_path / "wide", dtype="float32").passed


def test_too_little_memory_checks_tensors_alone_and_says_so(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base)
    merge(base, adapter, tmp_path / "out")
    result = proof(base, adapter, tmp_path / "out", memory_limit_bytes=1 << 20)
    assert (result.method, result.passed, codes(result)) == ("tensors", True, ["merge_proof_tensors_only"])
    damage(tmp_path / "out", "model.layers.0.self_attn.q_proj.weight", 0.01)
    assert not proof(base, adapter, tmp_path / "out", memory_limit_bytes=1 << 20).passed


def test_experts_are_proved_by_tensors(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "mixtral", num_local_experts=4, dtype="bfloat16")
    target = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    adapter = save_adapter(tmp_path / "adapter", base, target_modules=["q_proj"], target_parameters=target)
    merge(base, adapter, tmp_path / "out")
    result = proof(base, adapter, tmp_path / "out")
    assert (result.method, result.passed) == ("tensors", True)
    damage(tmp_path / "out", "model.layers.1.block_sparse_moe.experts.2.w1.weight", 1.0)
    assert not proof(base, adapter, tmp_path / "out").passed


def test_a_configuration_that_ties_what_differs_fails(tmp_path: Path) -> None:
    """transformers would notice and load both; an inference engine that trusts the file would not."""
    base = save_base(tmp_path / "base", tied=True)
    adapter = save_adapter(tmp_path / "adapter", base, target_modules=[*LINEAR, "lm_head"])
    merge(base, adapter, tmp_path / "out")
    shutil.copy(base / "config.json", tmp_path / "out" / "config.json")
    result = proof(base, adapter, tmp_path / "out")
    assert not result.passed and result.notes[0].params["tensor"] == "config.json"
