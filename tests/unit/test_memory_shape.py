"""A model's sizes from its config.json: parameters and linear layers against transformers, and nonsense refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from engine.errors import ConfigError
from engine.memory.shape import read_shape, shape_of
from engine.train.adapters import linear_modules
from tests.unit.memory_configs import FAMILIES, REAL

EVERYTHING = {**REAL, **FAMILIES}
LLAMA = REAL["Llama-3.1-8B"]


def built(config: dict[str, Any]) -> Any:
    """transformers' model of it, on meta."""
    known = AutoConfig.for_model(**config)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(known)


@pytest.mark.parametrize("name", EVERYTHING)
def test_parameters_and_linear_layers_are_those_of_transformers(name: str) -> None:
    config = EVERYTHING[name]
    model, shape = built(config), shape_of(config)
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    assert shape.tied == (model.get_input_embeddings().weight is model.get_output_embeddings().weight)
    modules = dict(model.named_modules())
    found = [(full.rpartition(".")[2], modules[full].in_features, modules[full].out_features)
             for full in linear_modules(model)]  # fmt: skip
    ours = [(one.name, one.inputs, one.outputs) for layer in shape.layers for one in layer.linears]
    if config["model_type"] == "gpt2":  # its linear layers are Conv1D, which peft adapts as well
        assert not found
    else:
        assert sorted(ours) == sorted(found)


@pytest.mark.parametrize("name", ["gemma2", "cohere2", "Gemma-3-1B", "qwen3"])
def test_layer_types_are_those_that_transformers_fills_in(name: str) -> None:
    config = EVERYTHING[name]
    assert list(shape_of(config).layer_types) == AutoConfig.for_model(**config).layer_types


def test_the_language_model_of_one_that_sees() -> None:
    text = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34}
    shape = shape_of({"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 1152}})
    assert (shape.heads, shape.kv_heads, shape.head_dim, shape.vocab, shape.tied) == (8, 4, 256, 262_208, True)
    assert "language model" in shape.notes[0].say()


def test_an_unknown_architecture_is_read_as_llama_with_a_note() -> None:
    shape = shape_of({**LLAMA, "model_type": "novel\x1b[31m"})
    assert shape.parameters == shape_of(LLAMA).parameters
    assert "novel\\x1b[31m" in shape.notes[0].say()


@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
@pytest.mark.parametrize("value", [None, "4096", -1, 0, 10**12, 1e30, float("nan"), True, [], {}])
def test_a_wrong_or_missing_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        shape_of({**LLAMA, field: value}, "somewhere/config.json")
    problem = caught.value.problems[0]
    assert (problem.code, problem.params["field"], problem.file) == (
        "model_config_incomplete",
        field,
        "somewhere/config.json",
    )
    assert field in str(caught.value)


def test_nonsense_in_any_field_is_an_answer_or_a_config_error() -> None:
    nonsense = [None, "x", "", -1, 0, 3.7, 1e300, float("inf"), True, [], ["x", 3], {}, {"a": {}}, 10**30]
    for config in (LLAMA, REAL["Gemma-3-1B"], FAMILIES["qwen2_moe"], FAMILIES["deepseek_v3"], FAMILIES["gpt2"]):
        extra = ("text_config", "quantization_config", "layer_types", "torch_dtype", "dtype", "head_dim", "logit_scale")
        for field in (*config, *extra):
            for value in nonsense:
                try:
                    shape = shape_of({**config, field: value})
                except ConfigError:
                    continue
                assert shape.parameters > 0


def test_an_empty_config() -> None:
    with pytest.raises(ConfigError, match="hidden_size"):
        shape_of({})


def test_missing_head_dim_and_null_fields_are_filled_in() -> None:
    shape = shape_of({**LLAMA, "head_dim": None, "num_key_value_heads": None, "sliding_window": None})
    assert (shape.head_dim, shape.kv_heads) == (4096 // 32, 32)


def test_a_checkpoint_that_is_quantised_already() -> None:
    shape = shape_of({**LLAMA, "quantization_config": {"quant_method": "gptq", "bits": 4}})
    assert (shape.quantised, shape.bits) == ("gptq", 4)
    assert (shape_of({**LLAMA, "quantization_config": {"quant_method": "fp8"}}).bits) == 8
    assert (shape_of(LLAMA).quantised, shape_of(LLAMA).bits) == ("", 16)


def folder(path: Any, **changes: Any) -> None:
    """A model folder of two layers in bfloat16 whose config.json says nothing of that."""
    config = {**FAMILIES["olmo2"], "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96,
              "vocab_size": 128, "num_attention_heads": 4, **changes}  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))
    tensors = {name: torch.zeros(p.shape, dtype=torch.bfloat16) for name, p in built(config).named_parameters()}
    save_file(tensors, path / "model.safetensors")


def test_stored_bytes_and_dtype_come_from_the_headers(tmp_path: Any) -> None:
    folder(tmp_path)
    shape = read_shape(tmp_path)
    assert shape.dtype == "bfloat16"
    assert shape.stored == 2 * shape.parameters
    assert shape.unseen == 0


def test_a_dtype_in_the_config_wins_over_the_files(tmp_path: Any) -> None:
    folder(tmp_path, torch_dtype="float32")
    assert read_shape(tmp_path).dtype == "float32"


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (b"", "weights_damaged"),
        (b"version https://git-lfs.github.com/spec/v1\n", "weights_pointer"),
        (b"\xff" * 64, "weights_damaged"),
    ],
)
def test_damaged_weights_are_the_error_that_there_is(tmp_path: Any, damage: bytes, code: str) -> None:
    folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(damage)
    with pytest.raises(ConfigError) as caught:
        read_shape(tmp_path)
    assert caught.value.problems[0].code == code


def test_a_folder_without_weights_yet(tmp_path: Any) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert read_shape(tmp_path) == shape_of(LLAMA)
