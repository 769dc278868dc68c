"""Grown vocabularies, PiSSA, several adapters, and a model that is only saved again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from engine.config.schema import MergeConfig
from engine.errors import ConfigError
from engine.merge import work as merge_work
from engine.merge.forecast import forecast, forecast_all
from engine.merge.pissa import ordinary
from engine.merge.prove import prove, prove_copy
from engine.merge.stream import copy_model
from engine.outputs import read_marker
from tests.unit.merge_toys import (
    LINEAR,
    PROMPTS,
    VOCABULARY,
    merge,
    plain_logits,
    save_adapter,
    save_base,
    saving,
    tensors,
    tuned_logits,
)

GROWN = 128


def random_adapter(model: Any, folder: Path, **lora: Any) -> Any:
    """An adapter on a model in memory, away from its start; saved, and with the model returned for its answers."""
    settings: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": LINEAR, "task_type": "CAUSAL_LM"} | lora
    tuned = get_peft_model(model, LoraConfig(**settings))
    start = {name: parameter.detach().clone() for name, parameter in tuned.named_parameters()}
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    tuned.save_pretrained(folder)
    return tuned.eval(), start


def error_of(out: Path, tuned: Any, base: Path, prompt: list[int]) -> float:
    """Largest difference to the tuned model's logits, measured by that of the base."""
    with torch.no_grad():
        ids = torch.tensor([prompt])
        wanted = tuned(ids).logits
        merged, plain = (
            AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()(ids).logits
            for folder in (out, base)
        )
    size = min(wanted.shape[-1], plain.shape[-1])
    return float((merged - wanted).abs().max() / (plain[..., :size] - wanted[..., :size]).abs().max())


@pytest.mark.parametrize(
    ("tied", "lora"),
    [
        (False, {"modules_to_save": ["embed_tokens", "lm_head"]}),
        (True, {"modules_to_save": ["embed_tokens", "lm_head"]}),
        (True, {"modules_to_save": ["embed_tokens"]}),  # the head stays as it was when training began
        (True, {}),
        (False, {}),  # peft saves both tables with the adapter, since their size is not the base's
        (False, {"target_modules": [*LINEAR, "embed_tokens", "lm_head"]}),
    ],
    ids=str,
)
def test_added_tokens_go_along(tmp_path: Path, tied: bool, lora: dict[str, Any]) -> None:
    base, adapter, out = save_base(tmp_path / "base", tied=tied), tmp_path / "adapter", tmp_path / "out"
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.resize_token_embeddings(GROWN)
    with torch.no_grad():
        model.get_input_embeddings().weight[VOCABULARY:] = torch.randn(GROWN - VOCABULARY, 32) * 0.3
    tuned, _ = random_adapter(model, adapter, **lora)
    expected = forecast(base, adapter, out)
    report = merge(base, adapter, out)
    assert json.loads((out / "config.json").read_text())["vocab_size"] == GROWN
    assert tensors(out)["model.embed_tokens.weight"].shape == (GROWN, 32)
    assert error_of(out, tuned, base, PROMPTS[0]) < 1e-5
    with torch.no_grad():  # a token that the base does not have
        ids = torch.tensor([[5, GROWN - 1, 7]])
        merged = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()(ids).logits
        assert torch.allclose(merged, tuned(ids).logits, atol=1e-4)
    proof = prove(base, adapter, out, prompts=[[5, GROWN - 1, 7]], memory_limit_bytes=None)
    assert proof.passed and proof.method == "logits" and proof.ratio is not None and proof.ratio < 1e-5
    written = sum(file.stat().st_size for file in out.glob("*.safetensors"))
    assert expected.bytes_out >= written and (expected.bytes_out == written or tied)
    assert report.bytes == sum(tensor.nbytes for tensor in tensors(out).values())


def test_rows_that_are_lost_are_refused(tmp_path: Path) -> None:
    base, adapter = save_base(tmp_path / "base"), tmp_path / "adapter"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.resize_token_embeddings(GROWN)
    random_adapter(model, adapter, modules_to_save=["embed_tokens"])
    held = load_file(adapter / "adapter_model.safetensors")
    held = {name: tensor for name, tensor in held.items() if "lm_head" not in name}
    save_file(held, adapter / "adapter_model.safetensors")
    with pytest.raises(ConfigError) as caught:
        merge(base, adapter, tmp_path / "out")
    assert caught.value.problems[0].code == "merge_vocabulary_lost"
    assert caught.value.problems[0].params == {"tensor": "lm_head.weight", "rows": GROWN}


@pytest.mark.parametrize("init", ["pissa", "pissa_niter_4"])
@pytest.mark.parametrize("lora", [{}, {"use_rslora": True}, {"target_modules": ["q_proj", "down_proj"]}], ids=str)
def test_a_pissa_adapter_as_trained(tmp_path: Path, init: Any, lora: dict[str, Any]) -> None:
    base, adapter, out = save_base(tmp_path / "base"), tmp_path / "run" / "checkpoint-2", tmp_path / "out"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(6)
    tuned, start = random_adapter(model, adapter, init_lora_weights=init, **lora)
    if init != "pissa":  # what the start was is not in the base then: training keeps it
        first = {name.replace(".default", ""): start[name] for name in start if "lora_" in name}
        (tmp_path / "run" / "pissa_init").mkdir()
        save_file(first, tmp_path / "run" / "pissa_init" / "adapter_model.safetensors")
    assert forecast(base, adapter, out).memory_peak > 0
    converted = ordinary(adapter, tmp_path / "converted", base)
    assert converted != adapter
    merge(base, converted, out)
    assert error_of(out, tuned, base, PROMPTS[0]) < 1e-4
    assert prove(base, converted, out, prompts=PROMPTS, memory_limit_bytes=None).passed


def test_a_pissa_adapter_whose_start_is_lost_is_refused(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    random_adapter(model, tmp_path / "adapter", init_lora_weights="pissa_niter_4")
    assert ordinary(tmp_path / "adapter", tmp_path / "converted", base) == tmp_path / "adapter"
    with pytest.raises(ConfigError) as caught:
        merge(base, tmp_path / "adapter", tmp_path / "out")
    assert caught.value.problems[0].code == "merge_adapter_changed_base"


def test_llama_factorys_backup_of_a_pissa_adapter_is_known_by_its_name(tmp_path: Path) -> None:
    """Its configuration says that it began like any other, which merged as it is would give a wrong model."""
    base, run = save_base(tmp_path / "base"), tmp_path / "run"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tuned, start = random_adapter(model, run / "pissa_backup", init_lora_weights="pissa")
    said = json.loads((run / "pissa_backup" / "adapter_config.json").read_text())
    (run / "pissa_backup" / "adapter_config.json").write_text(json.dumps(said | {"init_lora_weights": True}))
    (run / "pissa_init").mkdir()
    first = {name.replace(".default", ""): start[name] for name in start if "lora_" in name}
    save_file(first, run / "pissa_init" / "adapter_model.safetensors")
    merge(base, ordinary(run / "pissa_backup", tmp_path / "converted", base), tmp_path / "out")
    assert error_of(tmp_path / "out", tuned, base, PROMPTS[0]) < 1e-4


@pytest.mark.parametrize(("dtype", "asked"), [("bfloat16", None), ("float32", None), ("float32", "bfloat16")])
def test_a_model_without_adapter_is_saved_again(tmp_path: Path, dtype: str, asked: str | None) -> None:
    base = save_base(tmp_path / "base", dtype=dtype)
    report = copy_model(base, tmp_path / "out", saving(dtype=asked, max_shard_bytes=20_000))
    ours = tensors(tmp_path / "out")
    wanted = {name: tensor.to(getattr(torch, asked or dtype)) for name, tensor in tensors(base).items()}
    assert ours.keys() == wanted.keys() and all(ours[name].equal(wanted[name]) for name in ours)
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 1 and report.changed == 0
    proof = prove_copy(base, tmp_path / "out", dtype=asked)
    assert proof.passed and proof.tensors_checked == len(ours)
    file = next((tmp_path / "out").glob("model-00002*"))
    held = load_file(file)
    next(iter(held.values())).view(-1)[0] += 1
    save_file(held, file, metadata={"format": "pt"})
    assert not prove_copy(base, tmp_path / "out", dtype=asked).passed


class Run:
    """What a step is given, as far as the merge uses it; keeps what it says."""

    def __init__(self, config: MergeConfig, base: Path, folder: Path):
        self.path, self.run, self.events = folder, self, self
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.config = {
            "merge": {"config": msgspec.to_builtins(config), "model_path": str(base), "prompts": ["Where is Oslo?"]}
        }

    def write(self, kind: str, **fields: Any) -> None:
        self.said.append((kind, fields))

    def warn(self, problem: Any) -> None:
        assert "{" not in str(ConfigError(problem))
        self.said.append((problem.code, problem.params))

    def phase(self, name: str) -> None: ...
    def lock(self, folder: Path) -> None: ...
    def made(self, what: str, path: Path) -> None: ...
    def progress(self, done: float, total: float, unit: str) -> None: ...
    def should_stop(self) -> bool:
        return False

    def codes(self) -> list[str]:
        return [kind for kind, _ in self.said]


def export(tmp_path: Path, base: Path, **keys: Any) -> Run:
    config = MergeConfig(model_name_or_path=str(base), export_dir=str(tmp_path / "out"), **keys)
    run = Run(config, base, tmp_path)
    merge_work.run(run)  # type: ignore[arg-type]
    return run


def base_with_tokenizer(folder: Path, **options: Any) -> Path:
    from tests.unit.tiny_tokenizer import tiny_tokenizer

    tokenizer = tiny_tokenizer(eos_token="<|im_end|>", pad_token="<|endoftext|>")
    save_base(folder, vocab_size=len(tokenizer), **options)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_several_adapters_are_merged_in_order_and_rounded_once(tmp_path: Path, dtype: str) -> None:
    base = base_with_tokenizer(tmp_path / "base", dtype=dtype)
    one = save_adapter(tmp_path / "one" / "sub", base)
    two = save_adapter(tmp_path / "two" / "sub", base, use_dora=True, r=2, scale=0.05)  # DoRA: the order matters
    run = export(tmp_path, base, adapter_name_or_path=f"{one.parent},{two.parent}", adapter_folder="sub")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    for adapter in (one, two):  # what LLaMA-Factory does, in fp32
        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    theirs = model.state_dict()
    for name, tensor in tensors(tmp_path / "out").items():
        assert tensor.dtype == getattr(torch, dtype)
        assert torch.allclose(tensor.float(), theirs[name].to(tensor.dtype).float(), atol=1e-6, rtol=8e-3), name
    same = [tensors(tmp_path / "out")[n].equal(theirs[n].to(getattr(torch, dtype))) for n in tensors(base)]
    assert dtype == "float32" or sum(same) >= len(same) - 2  # but for a sum on the edge of rounding
    proofs = [fields for kind, fields in run.said if kind == "proof"]
    assert "merge_several" in run.codes() and len(proofs) == 2 and all(proof["passed"] for proof in proofs)
    told = next(fields for kind, fields in run.said if kind == "log" and fields["what"] == "merge")
    written = sum(path.stat().st_size for path in (tmp_path / "out").glob("*.safetensors"))
    assert (told["tensors"], told["bytes_out"]) == (len(tensors(tmp_path / "out")), written)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == dtype
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "one", "out", "two"]  # no step is left
    marker = read_marker(tmp_path / "out")
    assert marker is not None and marker.finished
    config = MergeConfig(
        model_name_or_path="base", adapter_name_or_path=[str(one), str(two)], export_dir=str(tmp_path / "again")
    )
    both, last = forecast_all(config, base, [one, two]), forecast(base, two, tmp_path / "again")
    assert both.disk_needed - last.disk_needed >= sum(4 * t.numel() for t in theirs.values())


def test_a_full_training_is_exported(tmp_path: Path) -> None:
    """merge_lora/qwen3_full_sft.yaml: no adapter, only the folder that training wrote."""
    base = base_with_tokenizer(tmp_path / "base", dtype="bfloat16")
    run = export(tmp_path, base, template="qwen", finetuning_type="full", export_size=0.00001)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"Modelfile", "config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"} <= files
    assert "model.safetensors.index.json" in files and "merge_kept_float32" not in run.codes()
    assert plain_logits(tmp_path / "out").equal(plain_logits(base))
    assert json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())["padding_side"] == "left"


def test_an_adapter_is_none_of_full_training(tmp_path: Path) -> None:
    base = base_with_tokenizer(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base)
    with pytest.raises(ConfigError) as caught:
        export(tmp_path, base, adapter_name_or_path=str(adapter), finetuning_type="full")
    assert caught.value.problems[0].code == "merge_adapter_without_lora"


def test_an_fp32_base_is_said_to_stay_fp32(tmp_path: Path) -> None:
    base = base_with_tokenizer(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base)
    run = export(tmp_path, base, adapter_name_or_path=str(adapter))
    assert "merge_kept_float32" in run.codes()
    shutil.rmtree(tmp_path / "out")
    assert (
        "merge_kept_float32"
        not in export(tmp_path, base, adapter_name_or_path=str(adapter), infer_dtype="bfloat16").codes()
    )


def test_a_quantised_training_is_exported_both_ways(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    base = base_with_tokenizer(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", base)
    said = {
        "fingerprint": "x",
        "run": "x",
        "finished": True,
        "quantization": {"bits": 4, "type": "nf4", "double": True},
    }
    (adapter / "sft_wizard.json").write_text(json.dumps(said))
    assert "merge_trained_quantised" in export(tmp_path, base, adapter_name_or_path=str(adapter)).codes()
    onto_base = tensors(tmp_path / "out")
    run = export(tmp_path, base, adapter_name_or_path=str(adapter), merge_onto="dequantised")
    assert "merge_dequantised" in run.codes() and "moved_aside" in run.codes()
    name = "model.layers.0.mlp.up_proj.weight"
    assert not tensors(tmp_path / "out")[name].equal(onto_base[name])
    assert not torch.equal(plain_logits(tmp_path / "out"), tuned_logits(base, adapter))
