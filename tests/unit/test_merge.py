"""The merged weights: bit for bit what peft's whole-model merge gives in fp32, cast once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.merge.inputs import DTYPES
from tests.unit.merge_toys import LINEAR, by_peft, merge, plain_logits, save_adapter, save_base, tensors, tuned_logits


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if ours[name].dtype != theirs[name].dtype or not ours[name].equal(theirs[name])]
    assert not different


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize(("kind", "tied"), [("llama", False), ("qwen2", True), ("gemma2", True)])
def test_lora_equals_peft_bit_for_bit(tmp_path: Path, kind: str, tied: bool, rslora: bool, dtype: str) -> None:
    base = save_base(tmp_path / "base", kind, tied=tied, dtype=dtype)
    adapter = save_adapter(tmp_path / "adapter", base, use_rslora=rslora, r=3)
    report = merge(base, adapter, tmp_path / "out")
    theirs = by_peft(base, adapter, tmp_path / "peft", dtype)
    assert_same(tensors(tmp_path / "out"), theirs)
    assert (report.tensors, report.changed, report.dtype, report.untied) == (len(theirs), 14, dtype, False)
    assert not tensors(base)["model.layers.0.mlp.up_proj.weight"].equal(theirs["model.layers.0.mlp.up_proj.weight"])


@pytest.mark.parametrize(("shard_in", "shard_out"), [("5GB", 9000), ("10KB", 5 * 10**9), ("10KB", 20_000)])
def test_any_layout_of_files_holds_the_same_tensors(tmp_path: Path, shard_in: str, shard_out: int) -> None:
    base = save_base(tmp_path / "base", shard=shard_in, dtype="bfloat16")
    adapter = save_adapter(tmp_path / "adapter", base)
    merge(base, adapter, tmp_path / "out", max_shard_bytes=shard_out)
    ours = tensors(tmp_path / "out")
    assert_same(ours, by_peft(base, adapter, tmp_path / "peft", "bfloat16"))
    files = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    index = tmp_path / "out" / "model.safetensors.index.json"
    if shard_out > 10**9:
        assert files == ["model.safetensors"] and not index.exists()
    else:
        listed = json.loads(index.read_text())
        assert sorted(set(listed["weight_map"].values())) == files and len(files) > 1
        assert listed["metadata"]["total_size"] == sum(tensor.nbytes for tensor in ours.values())
    assert torch.isfinite(plain_logits(tmp_path / "out")).all()  # transformers can load it


@pytest.mark.parametrize(
    "lora",
    [
        {"use_dora": True},
        {"modules_to_save": ["lm_head", "norm"]},
        {"modules_to_save": ["embed_tokens"]},
        {"bias": "all"},
        {"lora_bias": True, "target_modules": ["q_proj", "k_proj", "v_proj"]},
        {"trainable_token_indices": [3, 7]},
        {"target_modules": [*LINEAR, "embed_tokens", "lm_head"]},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 5}},
    ],
    ids=lambda lora: "+".join(lora),
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_other_adapters_equal_peft(tmp_path: Path, lora: dict[str, Any], dtype: str) -> None:
    base = save_base(tmp_path / "base", "qwen2", dtype=dtype)
    adapter = save_adapter(tmp_path / "adapter", base, **lora)
    merge(base, adapter, tmp_path / "out")
    assert_same(tensors(tmp_path / "out"), by_peft(base, adapter, tmp_path / "peft", dtype))


def test_experts_stored_apart_are_merged_and_stored_apart_again(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "mixtral", num_local_experts=4, num_experts_per_tok=2)
    target = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    adapter = save_adapter(tmp_path / "adapter", base, target_modules=["q_proj"], target_parameters=target)
    merge(base, adapter, tmp_path / "out")
    ours = tensors(tmp_path / "out")
    assert ours.keys() == tensors(base).keys()
    assert_same(ours, by_peft(base, adapter, tmp_path / "peft", "float32"))


@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
@pytest.mark.parametrize("how", ["target_modules", "modules_to_save"])
def test_a_tied_pair_that_the_adapter_parts_is_untied(tmp_path: Path, target: str, how: str) -> None:
    """peft's merge puts both changes on the shared weight; the judge is base + adapter unmerged."""
    base = save_base(tmp_path / "base", tied=True)
    lora = {"target_modules": [*LINEAR, target]} if how == "target_modules" else {"modules_to_save": [target]}
    adapter = save_adapter(tmp_path / "adapter", base, **lora)
    report = merge(base, adapter, tmp_path / "out")
    assert report.untied and [note.code for note in report.notes] == ["merge_untied"]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False
    tuned, plain = tuned_logits(base, adapter), plain_logits(base)
    error = (plain_logits(tmp_path / "out") - tuned).abs().max()
    assert error < 1e-5 * (tuned - plain).abs().max()


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_another_dtype_is_one_rounding_from_fp32(tmp_path: Path, dtype: str) -> None:
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base)
    merge(base, adapter, tmp_path / "out", dtype=dtype)
    assert_same(tensors(tmp_path / "out"), by_peft(base, adapter, tmp_path / "peft", dtype))
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == dtype


def test_a_bf16_adapter_is_added_in_fp32(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = save_base(tmp_path / "base", dtype="bfloat16")
    adapter = save_adapter(tmp_path / "adapter", base)
    file = adapter / "adapter_model.safetensors"
    halves = {name: tensor.bfloat16() for name, tensor in load_file(file).items()}
    save_file(halves, file)
    merge(base, adapter, tmp_path / "out")
    name = "model.layers.1.self_attn.q_proj.weight"
    stem = f"base_model.model.{name.removesuffix('.weight')}"
    a, b = halves[f"{stem}.lora_A.weight"].float(), halves[f"{stem}.lora_B.weight"].float()
    expected = (tensors(base)[name].float() + 2 * (b @ a)).bfloat16()
    assert tensors(tmp_path / "out")[name].equal(expected)


def test_small_files_come_from_where_training_left_them(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base)
    merge(base, adapter, tmp_path / "from_base", tokenizer_from=adapter)  # it holds no tokenizer
    assert json.loads((tmp_path / "from_base" / "tokenizer.json").read_text()) == {"of": "base"}
    (adapter / "tokenizer.json").write_text('{"of": "adapter"}')
    (adapter / "chat_template.jinja").write_text("{{ messages }}")
    merge(base, adapter, tmp_path / "out", tokenizer_from=adapter)
    assert json.loads((tmp_path / "out" / "tokenizer.json").read_text()) == {"of": "adapter"}
    assert (tmp_path / "out" / "chat_template.jinja").is_file()
    assert (tmp_path / "out" / "config.json").read_bytes() == (base / "config.json").read_bytes()
    assert (tmp_path / "out" / "generation_config.json").is_file()
    assert not list((tmp_path / "out").glob("*adapter*"))


def test_base_weights_that_travel_with_the_adapter_are_used(tmp_path: Path) -> None:
    """peft saves the embedding beside its LoRA factors and loads that copy; unmerged base + adapter runs on it."""
    from safetensors.torch import load_file, save_file

    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base, target_modules=["q_proj", "embed_tokens", "lm_head"])
    file = adapter / "adapter_model.safetensors"
    held = load_file(file)
    for name in held:
        if name.endswith("base_layer.weight"):
            held[name] += 0.5
    save_file(held, file)
    merge(base, adapter, tmp_path / "out")
    tuned, plain = tuned_logits(base, adapter), plain_logits(base)
    error = (plain_logits(tmp_path / "out") - tuned).abs().max()
    assert error < 1e-5 * (tuned - plain).abs().max()
