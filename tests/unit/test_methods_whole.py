"""finetuning_type full and freeze, what is trained in which format, and a whole model as it is saved and resumed."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback

from engine.errors import ConfigError
from engine.memory.outlook import TOKENIZER_BYTES
from engine.train.before import check_disk
from engine.train.checkpoints import newest_good
from engine.train.precision import Precision, choose_precision
from engine.train.trainer import StepTrainer
from tests.unit.method_toys import CPU, plain, prepare, same_training, samples, save_model, train, train_config

pytestmark = pytest.mark.usefixtures("quick")

IDS = torch.tensor([[5, 60, 7, 120, 9, 33]])
BF16 = Precision(torch.bfloat16, "auto")


def learning(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(
    ("kind", "more"),
    [("llama", {}), ("llama", {"tied": True}), ("gpt2", {}), ("gemma2", {"attn_logit_softcapping": None})],
    ids=["llama", "tied", "gpt2 (tied)", "soft-capped head"],
)
def test_full_training_is_trainers(tmp_path, kind, more):
    """Every weight learns, the head too; a tied one gathers gradients from both of its uses."""
    folder = save_model(tmp_path / "base", kind, **more)
    mine, _ = prepare(folder, finetuning_type="full")
    expected = plain(folder)
    assert learning(mine) == {name for name, _ in expected.named_parameters()}
    same_training(tmp_path, mine, expected)
    theirs = dict(expected.named_parameters())
    for name, weight in mine.named_parameters():
        assert torch.allclose(weight, theirs[name], atol=3e-4), name


def test_recomputed_full_training_is_trainers(tmp_path, llama):
    """Checkpointed layers and head chunks together, as on a GPU."""
    mine, _ = prepare(llama, finetuning_type="full")
    mine.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    same_training(tmp_path, mine, plain(llama))


LAYER = ["input_layernorm", "mlp", "post_attention_layernorm", "self_attn"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, [".1.", ".2."]),
        ({"freeze_trainable_layers": 1}, [".2."]),
        ({"freeze_trainable_layers": -1}, [".0."]),
        ({"freeze_trainable_layers": 99}, [".0.", ".1.", ".2."]),
        ({"freeze_trainable_layers": -2, "freeze_trainable_modules": "mlp"}, [".0.mlp", ".1.mlp"]),
        (
            {"freeze_trainable_layers": 1, "freeze_trainable_modules": ["self_attn", "mlp"]},
            [".2.self_attn", ".2.mlp"],
        ),
        ({"freeze_trainable_layers": 1, "freeze_extra_modules": "embed_tokens"}, [".2.", "embed_tokens"]),
        ({"freeze_trainable_layers": 1, "freeze_extra_modules": "norm"}, [".2.", "norm"]),
    ],
)
def test_freeze_trains_what_llamafactory_would(llama, keys, expected):
    """Names by hand from its rule: a parameter learns where one of these occurs in its name."""
    mine, said = prepare(llama, finetuning_type="freeze", **keys)
    assert learning(mine) == {name for name, _ in mine.named_parameters() if any(part in name for part in expected)}
    assert len(learning(mine)) > 0
    assert said == ["freeze_chosen"]


@pytest.mark.parametrize(
    ("keys", "choices"),
    [
        ({"freeze_trainable_modules": "attn"}, ", ".join(["all", *LAYER])),
        ({"freeze_extra_modules": "wte"}, "embed_tokens, lm_head, norm"),
    ],
)
def test_an_unknown_module_names_those_there_are(llama, keys, choices):
    with pytest.raises(ConfigError) as found:
        prepare(llama, finetuning_type="freeze", **keys)
    problem = found.value.problems[0]
    assert (problem.code, problem.params["choices"]) == ("freeze_module_unknown", choices)


def test_frozen_training_is_trainers(tmp_path, llama):
    mine, _ = prepare(llama, finetuning_type="freeze", freeze_trainable_layers=-1)
    expected = plain(llama)
    for name, parameter in expected.named_parameters():
        parameter.requires_grad_(".0." in name)
    same_training(tmp_path, mine, expected)


# --- number formats


def dtypes(model, trained):
    return {parameter.dtype for parameter in model.parameters() if parameter.requires_grad is trained}


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
    """A base stored in bfloat16, as most are."""
    folder = save_model(tmp_path_factory.mktemp("half"))
    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


def test_what_learns_is_in_fp32_and_the_rest_as_stored(halved):
    """Steps of 1e-5 vanish in bfloat16."""
    for keys, rest in (({}, {torch.bfloat16}), ({"finetuning_type": "full"}, set())):
        mine, _ = prepare(halved, precision=BF16, **keys)
        assert (dtypes(mine, True), dtypes(mine, False)) == ({torch.float32}, rest)
    mine, _ = prepare(halved, precision=BF16, finetuning_type="freeze")
    assert (dtypes(mine, True), dtypes(mine, False)) == ({torch.float32}, {torch.bfloat16})


def test_pure_bf16_keeps_what_learns_in_bfloat16(llama):
    """But for new adapters, which peft keeps in fp32 in LLaMA-Factory too."""
    keys = {"pure_bf16": True, "finetuning_type": "full"}
    precision = choose_precision(train_config(llama, **keys), CPU, torch.float32)
    mine, _ = prepare(llama, precision=precision, **keys)
    assert dtypes(mine, True) == {torch.bfloat16}
    mine, _ = prepare(llama, precision=precision, pure_bf16=True)
    assert (dtypes(mine, True), dtypes(mine, False)) == ({torch.float32}, {torch.bfloat16})


def test_a_pure_bfloat16_step_moves_as_trainers(tmp_path, llama):
    precision = Precision(None, torch.bfloat16)
    mine, _ = prepare(llama, precision=precision, pure_bf16=True, finetuning_type="full")
    theirs = plain(llama).to(torch.bfloat16)
    ours, _ = train(StepTrainer, tmp_path / "a", mine, token_budget=60)
    others, _ = train(Trainer, tmp_path / "b", theirs)
    one, other = (
        [entry["loss"] for entry in trainer.state.log_history if "loss" in entry] for trainer in (ours, others)
    )
    assert one == pytest.approx(other, rel=5e-3)


def test_normalisations_alone_are_upcast(halved):
    mine, _ = prepare(halved, precision=BF16, upcast_layernorm=True)
    base = mine.get_base_model()
    assert base.model.norm.weight.dtype == base.model.layers[0].input_layernorm.weight.dtype == torch.float32
    assert base.lm_head.weight.dtype == base.model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16


def test_formats_that_cannot_be_multiplied_are_a_clear_error(halved):
    """Without autocast torch would end in the first step with a riddle about dtypes."""
    stored = Precision(None, "auto")
    for keys in ({"finetuning_type": "freeze"}, {"upcast_layernorm": True}, {"additional_target": "embed_tokens"}):
        with pytest.raises(ConfigError) as found:
            prepare(halved, precision=stored, **keys)
        assert found.value.problems[0].code == "mixed_without_autocast"
    prepare(halved, precision=stored)
    prepare(halved, precision=stored, finetuning_type="full")


# --- saving


class StopAt(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 2:
            control.should_save = control.should_training_stop = True


@pytest.mark.parametrize("tied", [False, True])
def test_a_whole_model_is_saved_and_a_run_of_one_resumed(tmp_path, tied):
    """transformers loads what was saved, and an interrupted run ends with the same weights."""
    folder = save_model(tmp_path / "base", tied=tied)
    settings = {"token_budget": 60, "max_steps": 4, "processing_class": AutoTokenizer.from_pretrained(folder)}
    settings.pop("processing_class")
    whole, _ = prepare(folder, finetuning_type="full")
    trainer, _ = train(StepTrainer, tmp_path / "whole", whole, **settings)
    trainer.save_model(str(tmp_path / "saved"))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", dtype=torch.float32)
    whole.eval()
    assert torch.allclose(loaded(input_ids=IDS).logits, whole(input_ids=IDS).logits, atol=1e-5)
    assert json.loads((tmp_path / "saved" / "config.json").read_text()).get("use_cache") is not False
    assert "per_sample" not in (tmp_path / "saved" / "config.json").read_text()

    first, _ = prepare(folder, finetuning_type="full")
    train(StepTrainer, tmp_path / "parts", first, callbacks=[StopAt()], **settings)
    checkpoint, warnings = newest_good(tmp_path / "parts")
    assert (checkpoint.name, warnings) == ("checkpoint-2", [])
    second, _ = prepare(folder, finetuning_type="full")
    train(StepTrainer, tmp_path / "parts", second, resume=str(checkpoint), **settings)
    expected = dict(whole.named_parameters())
    for name, weight in second.named_parameters():
        assert torch.equal(weight, expected[name]), name


def test_the_disk_check_counts_the_whole_model(tmp_path, llama):
    """One step: two checkpoints, one while it is written, and the result."""
    config = train_config(llama, finetuning_type="freeze", max_steps=1, freeze_trainable_layers=1)
    model, _ = prepare(llama, finetuning_type="freeze", freeze_trainable_layers=1)
    every = 4 * sum(p.numel() for p in model.parameters())
    moments = 8 * sum(p.numel() for p in model.parameters() if p.requires_grad)
    kept = (
        2
        if check_fits(config, model, tmp_path, 2 * (every + moments + TOKENIZER_BYTES) + every + TOKENIZER_BYTES)
        else 0
    )
    assert kept == 2
    assert not check_fits(config, model, tmp_path, 2 * (every + moments + TOKENIZER_BYTES) + every)


def check_fits(config, model, folder, free):
    try:
        check_disk(config, model, len(samples()), folder, free=lambda _: free)
    except Exception as error:
        assert error.problems[0].code == "disk_too_small"
        return False
    return True
