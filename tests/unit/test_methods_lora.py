"""LoRA and its kin: adapters as peft makes them, trained by our packed step as transformers trains them."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments, set_seed

from engine.config.rules import train_rules
from engine.errors import ConfigError
from engine.train.adapters import linear_modules
from engine.train.optimisers import lora_plus_groups
from engine.train.pissa import convert, save_start
from tests.unit.method_toys import plain, prepare, same_training, save_model, train, train_config

pytestmark = pytest.mark.usefixtures("quick")

LLAMA = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
IDS = torch.tensor([[5, 60, 7, 120, 9, 33]])


def by_peft(folder, **lora):
    """The adapter that peft makes of these settings from the same random numbers."""
    set_seed(42)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": LLAMA, "task_type": "CAUSAL_LM"} | lora
    base = plain(folder)
    set_seed(42)
    return get_peft_model(base, LoraConfig(**settings))


def weights(model):
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def saved_adapter(folder, base, scale=0.2, seed=5, **lora):
    """An adapter with an effect, on disk."""
    model = by_peft(base, **lora)
    torch.manual_seed(seed)
    for parameter in weights(model).values():
        parameter.add_(torch.randn_like(parameter) * scale)
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("keys", "lora"),
    [
        ({}, {}),
        ({"use_rslora": True, "lora_alpha": 16}, {"use_rslora": True, "lora_alpha": 16}),
        ({"use_dora": True}, {"use_dora": True}),
        ({"pissa_init": True, "pissa_iter": -1}, {"init_lora_weights": "pissa"}),
        ({"pissa_init": True, "pissa_iter": 4}, {"init_lora_weights": "pissa_niter_4"}),
        ({"lora_target": "q_proj,v_proj"}, {"target_modules": ["q_proj", "v_proj"]}),
        ({"additional_target": "embed_tokens,lm_head"}, {"modules_to_save": ["embed_tokens", "lm_head"]}),
        ({"lora_target": ["q_proj", "lm_head"]}, {"target_modules": ["q_proj", "lm_head"]}),
    ],
    ids=["lora", "rslora", "dora", "pissa", "pissa quick", "targets", "additional", "head"],
)
def test_adapters_are_pefts_and_learn_as_with_trainer(tmp_path, llama, keys, lora):
    """A key that did less than its name would be found out only when the model is bad."""
    mine, _ = prepare(llama, **keys)
    theirs = by_peft(llama, **lora)
    same_training(tmp_path, mine, theirs)
    expected = weights(theirs)
    assert weights(mine).keys() == expected.keys()
    for name, weight in weights(mine).items():
        assert weight.dtype == torch.float32
        assert torch.allclose(weight, expected[name], atol=2e-4), name  # Adam divides by tiny gradients


def test_pissa_does_not_change_what_the_model_says_at_the_start(llama):
    """Its start takes from the base what it gives to the adapter."""
    for steps in (-1, 16):
        mine, _ = prepare(llama, pissa_init=True, pissa_iter=steps)
        assert torch.allclose(mine(input_ids=IDS).logits, plain(llama)(input_ids=IDS).logits, atol=1e-4)
        assert weights(mine)["base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight"].any()


@pytest.mark.parametrize("rslora", [False, True])
def test_a_converted_pissa_adapter_gives_the_trained_model_on_the_plain_base(tmp_path, llama, rslora):
    """What pissa_convert is for: the adapter can be used by whoever has the base and peft."""
    mine, said = prepare(llama, pissa_init=True, pissa_convert=True, use_rslora=rslora)
    assert said == []
    save_start(mine, tmp_path)
    train(Trainer, tmp_path / "t", mine, learning_rate=1e-2)
    mine.eval()
    trained = mine(input_ids=IDS).logits
    assert (trained - plain(llama)(input_ids=IDS).logits).abs().max() > 0.1
    folder = convert(mine, tmp_path)
    assert torch.equal(mine(input_ids=IDS).logits, trained)  # the model in memory is untouched
    for _ in range(2):
        fresh = PeftModel.from_pretrained(plain(llama), str(folder))
        assert fresh.peft_config["default"].r == 8
        assert torch.allclose(fresh(input_ids=IDS).logits, trained, atol=1e-3)
    assert sorted(path.name for path in tmp_path.glob("pissa_*")) == ["pissa_backup", "pissa_converted", "pissa_init"]


def test_a_resumed_pissa_run_keeps_its_first_start(tmp_path, llama):
    """The start of a resumed run would be the wrong thing to subtract."""
    mine, _ = prepare(llama, pissa_init=True, pissa_convert=True)
    save_start(mine, tmp_path)
    before = load_file(tmp_path / "pissa_init" / "adapter_model.safetensors")
    for parameter in weights(mine).values():
        parameter.add_(1.0)
    save_start(mine, tmp_path)
    after = load_file(tmp_path / "pissa_init" / "adapter_model.safetensors")
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_pissa_without_conversion_says_what_its_adapter_needs(llama):
    """The quick decomposition is random: loaded again, the adapter meets another base."""
    assert prepare(llama, pissa_init=True)[1] == ["pissa_needs_its_base"]
    assert prepare(llama, pissa_init=True, pissa_iter=-1)[1] == []


# --- LoRA+


def test_lora_plus_groups_and_rates(llama):
    """lora_A and whole modules at the rate, lora_B and vectors at ratio times it; as LLaMA-Factory."""
    model = by_peft(llama, target_modules=["q_proj", "embed_tokens"], modules_to_save=["model.norm", "lm_head"])
    arguments = TrainingArguments(output_dir="x", learning_rate=1e-3, weight_decay=0.1, report_to="none", use_cpu=True)
    groups = lora_plus_groups(model, arguments, 16.0, 1e-6)
    names = {id(p): name for name, p in model.named_parameters()}
    found = {
        names[id(p)].replace(".default", "").removeprefix("base_model.model."): (group["lr"], group["weight_decay"])
        for group in groups
        for p in group["params"]
    }
    layers = range(3)
    expected = {f"model.layers.{i}.self_attn.q_proj.lora_A.weight": (1e-3, 0.1) for i in layers}
    expected |= {f"model.layers.{i}.self_attn.q_proj.lora_B.weight": (1.6e-2, 0.1) for i in layers}
    expected |= {
        "model.embed_tokens.lora_embedding_A": (1e-3, 0.1),
        "model.embed_tokens.lora_embedding_B": (1e-6, 0.1),
        "lm_head.modules_to_save.weight": (1e-3, 0.1),
        "model.norm.modules_to_save.weight": (1.6e-2, 0.1),  # an RMSNorm: only torch's LayerNorm is without decay
    }
    assert found.keys() == expected.keys()
    for name, settings in expected.items():
        assert found[name] == pytest.approx(settings), name


def test_lora_plus_moves_b_faster_by_its_ratio(tmp_path, llama):
    """With Adam the first step is the learning rate itself, whatever the gradient."""
    keys = {"loraplus_lr_ratio": 8.0, "lora_target": "q_proj"}
    mine, _ = prepare(llama, **keys)
    before = {name: w.clone() for name, w in weights(mine).items()}
    train(Trainer, tmp_path, mine, config=train_config(llama, **keys), max_steps=1, lr_scheduler_type="constant")
    for name, weight in weights(mine).items():
        moved = (weight - before[name]).abs().max().item()
        assert moved == pytest.approx(8e-3 if "lora_B" in name else 0.0, rel=1e-2), name  # B is 0: A has no gradient


# --- several adapters


def test_a_given_adapter_goes_on_with_its_own_settings(tmp_path, llama):
    """Its tensors have the rank that they have."""
    adapter = saved_adapter(tmp_path / "a", llama, r=2, lora_alpha=32, target_modules=["q_proj"])
    mine, said = prepare(llama, adapter_name_or_path=adapter)
    assert said == ["adapter_settings_win"]
    config = mine.peft_config["default"]
    assert (config.r, config.lora_alpha, config.target_modules) == (2, 32, {"q_proj"})
    expected = PeftModel.from_pretrained(plain(llama), adapter, is_trainable=True)
    same_training(tmp_path, mine, expected)


def test_of_several_adapters_the_last_is_trained_on_the_sum_of_the_others(tmp_path, llama):
    """And create_new_adapter begins a new one on the sum of all."""
    one, two = saved_adapter(tmp_path / "1", llama), saved_adapter(tmp_path / "2", llama, seed=6)
    merged = PeftModel.from_pretrained(plain(llama), one).merge_and_unload()
    both = PeftModel.from_pretrained(merged, two)
    mine, said = prepare(llama, adapter_name_or_path=[one, two])
    assert said == ["adapters_merged"]
    expected = both(input_ids=IDS).logits
    assert torch.allclose(mine(input_ids=IDS).logits, expected, atol=1e-4)
    assert all("lora_" in name for name in weights(mine))
    new, _ = prepare(llama, adapter_name_or_path=f"{one},{two}", create_new_adapter=True)
    assert torch.allclose(new(input_ids=IDS).logits, expected, atol=1e-4)
    assert not any(weight.any() for name, weight in weights(new).items() if "lora_B" in name)


def test_an_adapter_in_a_folder_of_its_folder(tmp_path, llama):
    adapter = saved_adapter(tmp_path / "repo" / "inner", llama)
    mine, _ = prepare(llama, adapter_name_or_path=str(tmp_path / "repo"), adapter_folder="inner")
    expected = PeftModel.from_pretrained(plain(llama), adapter)(input_ids=IDS).logits
    assert torch.allclose(mine(input_ids=IDS).logits, expected, atol=1e-5)


def test_an_adapter_of_another_model_is_a_clear_error(tmp_path, llama):
    other = save_model(tmp_path / "wide", hidden_size=16)
    adapter = saved_adapter(tmp_path / "a", other)
    with pytest.raises(ConfigError) as found:
        prepare(llama, adapter_name_or_path=adapter)
    assert found.value.problems[0].code == "adapter_wrong"


# --- which layers


def test_all_is_every_linear_layer_but_the_head(llama, tmp_path):
    """LLaMA-Factory's rule; a tied head is no layer of its own, and Conv1D models go by peft's rule."""
    mine, _ = prepare(llama)
    assert mine.peft_config["default"].target_modules == set(LLAMA)
    gpt2, _ = prepare(save_model(tmp_path / "gpt2", "gpt2"))
    adapted = {name.split(".lora_A")[0].rpartition(".")[2] for name, _ in gpt2.named_parameters() if "lora_A" in name}
    assert adapted == {"c_attn", "c_proj", "c_fc"}


def test_fused_experts_without_an_adapter_are_said(tmp_path):
    """Else a run of a mixture of experts trains its attention only, and nobody knows."""
    folder = save_model(tmp_path, "mixtral", num_local_experts=4)
    mine, said = prepare(folder)
    assert said == ["experts_not_adapted"]
    assert not any("experts" in name for name in weights(mine))


def test_a_target_that_is_not_there_names_those_that_are(llama):
    with pytest.raises(ConfigError) as found:
        prepare(llama, lora_target="query")
    assert (found.value.problems[0].code, found.value.problems[0].params["there"]) == ("lora_target_unknown", LLAMA)


def test_what_a_model_sees_with_is_left_alone(llama):
    """Text data teaches an image encoder nothing."""
    model = plain(llama)
    model.config.vision_config = object()
    model.model.vision_tower = torch.nn.Sequential(torch.nn.Linear(2, 2))
    assert linear_modules(model) == linear_modules(plain(llama))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"pissa_convert": True}, "needs_other_key"),
        ({"pissa_init": True, "pissa_convert": True, "use_dora": True}, "keys_exclude"),
        ({"use_muon": True, "loraplus_lr_ratio": 4.0}, "keys_exclude"),
        ({"finetuning_type": "freeze", "freeze_trainable_layers": 0}, "freeze_no_layers"),
        ({"quantization_bit": 4, "train_from_scratch": True}, "keys_exclude"),
    ],
)
def test_methods_that_do_not_go_together_are_refused(keys, code):
    """Each of these would fail in the middle, or train something else than was asked."""
    assert [finding.code for finding in train_rules(train_config("m", **keys), {})] == [code]


def test_methods_that_go_together_are_not():
    for keys in (
        {"use_dora": True, "use_rslora": True, "loraplus_lr_ratio": 16.0, "pissa_init": True},
        {"finetuning_type": "full", "pure_bf16": True, "use_muon": True},
        {"finetuning_type": "freeze", "freeze_trainable_layers": 0, "freeze_extra_modules": "norm"},
    ):
        assert list(train_rules(train_config("m", **keys), {})) == []
