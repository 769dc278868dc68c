"""Adapters of QLoRA: onto the weights that the quantised base stood for, judged by the live quantised model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from engine.config.schema import MergeConfig
from engine.errors import ConfigError
from engine.merge.asked import quantisation, trained_quantisation
from engine.merge.forecast import forecast
from engine.merge.prove import prove
from engine.merge.quantised import Quantisation, dequantised, quantised_modules
from engine.outputs import mark_finished, mark_started
from tests.unit.merge_toys import LINEAR, PROMPTS, merge, plain_logits, save_adapter, save_base, tensors

pytest.importorskip("bitsandbytes")


def live(base: Path, how: Quantisation, adapter: Path | None = None) -> Any:
    """The model as a quantised training holds it, by transformers, bitsandbytes and peft alone."""
    four = {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": how.kind,
        "bnb_4bit_use_double_quant": how.double,
        "bnb_4bit_compute_dtype": torch.float32,
    }
    asked = BitsAndBytesConfig(**(four if how.bits == 4 else {"load_in_8bit": True}))
    dtype = getattr(torch, how.dtype or "float32")
    model = AutoModelForCausalLM.from_pretrained(base, quantization_config=asked, dtype=dtype, device_map={"": "cpu"})
    return (PeftModel.from_pretrained(model, str(adapter)) if adapter else model).eval()


@torch.no_grad()
def answers(model: Any) -> torch.Tensor:
    return model(torch.tensor(PROMPTS[:1])).logits.float()


@pytest.mark.parametrize("shape", [(64, 128), (7, 96), pytest.param((3, 33), marks=pytest.mark.slow)])
@pytest.mark.parametrize(("kind", "double"), [("nf4", True), ("nf4", False), ("fp4", True)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_four_bits_are_those_of_bitsandbytes(shape: tuple[int, int], kind: Any, double: bool, dtype: str) -> None:
    from bitsandbytes import functional

    torch.manual_seed(3)
    weight = torch.randn(shape)
    codes, state = functional.quantize_4bit(
        weight.to(getattr(torch, dtype)), blocksize=64, compress_statistics=double, quant_type=kind
    )
    theirs = functional.dequantize_4bit(codes, state).float()
    assert torch.equal(dequantised(weight, Quantisation(4, kind, double, dtype)), theirs.view(shape))
    assert not torch.equal(theirs, weight)


def test_chunks_are_quantised_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.randn(40, 96)
    whole = [dequantised(weight, Quantisation(bits)) for bits in (4, 8)]  # type: ignore[arg-type]
    monkeypatch.setattr("engine.merge.quantised._CHUNK", 256)
    assert all(
        torch.equal(dequantised(weight, Quantisation(bits)), one)  # type: ignore[arg-type]
        for bits, one in zip((4, 8), whole, strict=True)
    )


def test_the_layers_are_those_that_transformers_quantises(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", tied=True)
    model = live(base, Quantisation(4))
    theirs = {name for name, module in model.named_modules() if type(module).__name__ == "Linear4bit"}
    assert quantised_modules(base, Quantisation(4), trust_remote_code=False) == theirs
    assert "lm_head" not in theirs and len(theirs) == 14


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("lora", [{}, {"use_dora": True}, {"target_modules": ["q_proj", "v_proj"]}], ids=str)
def test_the_merged_model_answers_as_the_quantised_one_with_its_adapter(
    tmp_path: Path, lora: dict[str, Any], dtype: str
) -> None:
    how = Quantisation(4, "nf4", True, dtype)
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base, **lora)
    merge(base, adapter, tmp_path / "out", quantisation=how)
    merge(base, adapter, tmp_path / "plain")
    tuned = answers(live(base, how, adapter))
    error = (plain_logits(tmp_path / "out") - tuned).abs().max()
    onto_base = (plain_logits(tmp_path / "plain") - tuned).abs().max()
    # fp32: the same sums in another order. bf16: the live model computes with embeddings and norms in bf16 too.
    assert error < (1e-5 if dtype == "float32" else 0.2) * onto_base
    ours = tensors(tmp_path / "out")
    assert {t.dtype for t in ours.values()} == {torch.float32} and ours.keys() == tensors(base).keys()
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())


def test_eight_bits(tmp_path: Path) -> None:
    """Activations are rounded to 8 bits too in the live model, so its weights are the judge."""
    how = Quantisation(8)
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base)
    merge(base, adapter, tmp_path / "out", quantisation=how)
    layer = live(base, how, adapter).base_model.model.model.layers[1].mlp.up_proj
    weight = layer.base_layer.weight
    theirs = weight.CB.float() * weight.SCB[:, None] / 127 + layer.get_delta_weight("default")
    ours = tensors(tmp_path / "out")["model.layers.1.mlp.up_proj.weight"]
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert not torch.allclose(tensors(base)["model.layers.1.mlp.up_proj.weight"], theirs, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_proof_compares_with_the_dequantised_base(tmp_path: Path, dtype: str) -> None:
    how = Quantisation(4)
    base = save_base(tmp_path / "base", dtype=dtype)
    adapter = save_adapter(tmp_path / "adapter", base, target_modules=["q_proj", "up_proj"])
    merge(base, adapter, tmp_path / "out", quantisation=how)
    options: dict[str, Any] = {"prompts": PROMPTS, "memory_limit_bytes": None}
    right = prove(base, adapter, tmp_path / "out", quantisation=how, **options)
    assert right.passed and right.method == "logits" and right.ratio is not None
    assert right.ratio < (1e-5 if dtype == "float32" else 0.05)
    merge(base, adapter, tmp_path / "plain")
    wrong = prove(base, adapter, tmp_path / "plain", quantisation=how, **options)
    assert not wrong.passed and wrong.notes[0].params["count"] == 14  # every quantised layer, the untouched ones too


def test_an_adapter_made_on_the_live_quantised_model_merges(tmp_path: Path) -> None:
    how = Quantisation(4)
    base = save_base(tmp_path / "base", "qwen2", tied=True)
    tuned = get_peft_model(live(base, how), LoraConfig(r=4, lora_alpha=8, target_modules=LINEAR, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    tuned.save_pretrained(tmp_path / "adapter")
    merge(base, tmp_path / "adapter", tmp_path / "out", quantisation=how)
    theirs = answers(tuned.eval())
    assert (plain_logits(tmp_path / "out") - theirs).abs().max() < 1e-4 * theirs.abs().max()


def asked(**keys: Any) -> MergeConfig:
    return MergeConfig(model_name_or_path="base", adapter_name_or_path="adapter", export_dir="out", **keys)


def test_what_the_training_left_says_how(tmp_path: Path) -> None:
    how = Quantisation(4, "fp4", False, "bfloat16")
    (tmp_path / "checkpoint-3").mkdir()
    mark_started(tmp_path, "print", tmp_path, how.as_marker())
    mark_finished(tmp_path)
    assert trained_quantisation(tmp_path / "checkpoint-3") == how.as_marker()
    used, notes = quantisation(asked(), tmp_path)
    assert used is None and [note.code for note in notes] == ["merge_trained_quantised"]
    used, notes = quantisation(asked(merge_onto="dequantised"), tmp_path)
    assert used is not None and Quantisation.of(used) == how and [note.code for note in notes] == ["merge_dequantised"]
    used, notes = quantisation(asked(quantization_bit=4), tmp_path)
    assert used == {"bits": 4, "type": "nf4", "double": True, "dtype": "bfloat16"}
    assert [note.code for note in notes] == ["merge_dequantised", "merge_quantisation_differs"]
    assert quantisation(asked(quantization_bit=4, merge_onto="base"), tmp_path)[0] is None


def test_without_a_word_on_it_the_keys_are_needed(tmp_path: Path) -> None:
    assert quantisation(asked(), tmp_path) == (None, [])
    with pytest.raises(ConfigError) as caught:
        quantisation(asked(merge_onto="dequantised"), tmp_path)
    assert caught.value.problems[0].code == "merge_quantisation_unknown"


def test_its_memory_is_forecast(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base)
    plain, quantised = (forecast(base, adapter, tmp_path / "out", quantised=flag) for flag in (False, True))
    assert quantised.memory_peak > plain.memory_peak and quantised.bytes_out == plain.bytes_out
