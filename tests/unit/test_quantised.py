"""Bases in 4 and 8 bits: made by bitsandbytes as asked, trained on as transformers trains, on a CPU too."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import BitsAndBytesConfig, set_seed

from engine.errors import ConfigError, EnvironmentProblem
from engine.train.precision import Precision
from engine.train.quantised import quantisation
from tests.unit.method_toys import CPU, FP32, plain, prepare, same_training, save_model, train_config

pytestmark = pytest.mark.usefixtures("quick")

LLAMA = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("llama"), hidden_size=64, head_dim=16)


FOUR = {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.float32, "bnb_4bit_quant_storage": torch.float32}


@pytest.mark.parametrize(
    ("keys", "settings"),
    [
        ({"quantization_bit": 4}, {**FOUR, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}),
        (
            {"quantization_bit": 4, "quantization_type": "fp4", "double_quantization": False},
            {**FOUR, "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": False},
        ),
        (
            {"quantization_bit": 4, "use_dora": True},
            {**FOUR, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
        ),
    ],
    ids=["nf4", "fp4", "dora on nf4"],
)
def test_a_4_bit_base_on_a_cpu_is_trainers(tmp_path, llama, keys, settings):
    """The same bits, and through them the same gradients, packed or padded."""
    pytest.importorskip("bitsandbytes")
    mine, said = prepare(llama, **keys)
    assert said == []
    base = plain(llama, quantization_config=BitsAndBytesConfig(**settings), device_map={"": CPU})
    set_seed(42)
    lora = LoraConfig(
        r=4, lora_alpha=8, target_modules=LLAMA, task_type="CAUSAL_LM", use_dora=keys.get("use_dora", False)
    )
    theirs = get_peft_model(base, lora)
    one, other = (model.get_base_model().model.layers[0].mlp.up_proj.base_layer for model in (mine, theirs))
    assert type(one).__name__ == "Linear4bit"
    assert torch.equal(one.weight.data.view(torch.uint8), other.weight.data.view(torch.uint8))
    full = plain(llama).model.layers[0].mlp.up_proj.weight
    restored = one(torch.eye(full.shape[1])).T.detach()
    assert 0.01 < (restored - full).norm() / full.norm() < 0.2  # 4 bits of it
    same_training(tmp_path, mine, theirs)


def test_an_8_bit_base_on_a_cpu_learns(llama):
    """Its sums depend on what else is in the batch, so no two ways give the same digits: here near is enough."""
    pytest.importorskip("bitsandbytes")
    mine, _ = prepare(llama, quantization_bit=8)
    assert type(mine.get_base_model().model.layers[0].mlp.up_proj.base_layer).__name__ == "Linear8bitLt"
    ids = torch.tensor([[5, 60, 7, 120, 9, 33]])
    loss = mine(input_ids=ids, labels=ids).loss
    assert loss.item() == pytest.approx(plain(llama)(input_ids=ids, labels=ids).loss.item(), rel=0.05)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mine.parameters() if p.requires_grad)


def ask(own=None, installed=lambda package: False, **keys):
    said = []
    found = quantisation(
        train_config("m", **keys), SimpleNamespace(quantization_config=own), FP32, said.append, installed
    )
    return found, [problem.code for problem in said]


def test_without_bitsandbytes_the_command_to_install_it_is_said():
    with pytest.raises(EnvironmentProblem) as found:
        ask(quantization_bit=4)
    assert found.value.problems[0].code == "bitsandbytes_missing"
    assert "pip install 'sft-wizard[gpu]'" in str(found.value)
    assert ask() == (None, [])


def test_4_bit_weights_are_stored_as_what_is_calculated_in():
    """As LLaMA-Factory does."""
    bf16 = Precision(torch.bfloat16, "auto")
    config = train_config("m", quantization_bit=4)
    made = quantisation(config, SimpleNamespace(), bf16, print, lambda package: True)
    assert made.bnb_4bit_compute_dtype == made.bnb_4bit_quant_storage == torch.bfloat16


def test_a_model_that_is_quantised_already(llama):
    """Unpacked, read where its package is there, or refused with the reason: never trained as something else."""
    assert ask({"quant_method": "fp8"})[0].dequantize
    assert ask({"quant_method": "mxfp4"}, quantization_bit=4)[1] == ["already_quantised"]
    with pytest.raises(ConfigError) as found:
        ask({"quant_method": "gptq", "bits": 4})
    assert found.value.problems[0].code == "quantised_unreadable"
    assert ask({"quant_method": "gptq"}, installed=lambda package: package == "gptqmodel") == (None, [])
    with pytest.raises(ConfigError) as found:
        ask({"quant_method": "awq"}, installed=lambda package: True, finetuning_type="full")
    assert found.value.problems[0].code == "quantised_lora_only"
    with pytest.raises(EnvironmentProblem):
        ask({"quant_method": "bitsandbytes"})
