"""The check before step 1: right models pass, wrong ones are found out and named, nothing is left behind."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from engine.train import attention, head, selfcheck
from engine.train.attention import NAME, Row
from engine.train.packing import IGNORED, Tokens, install_packed_forward
from engine.train.selfcheck import check, suitable

CPU = torch.device("cpu")
SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build(kind, implementation=NAME, **more):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(SIZES | more))
    model = AutoModelForCausalLM.from_config(config, attn_implementation=implementation, dtype=torch.float32)
    install_packed_forward(model)
    return model


def samples(lengths=(9, 14, 5, 23, 30, 12), unlabelled=()):
    draw = random.Random(0)
    rows = []
    for number, length in enumerate(lengths):
        ids = torch.tensor([draw.randint(3, 96) for _ in range(length)])
        labels = ids.clone()
        labels[: length if number in unlabelled else 2] = IGNORED
        rows.append(Tokens(ids, labels))
    return rows


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("llama", {}),
        ("mistral", {"sliding_window": 8}),
        ("gemma3_text", {"sliding_window": 8}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
        ("cohere", {"logit_scale": 0.3}),
        ("granite", {"logits_scaling": 4.0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_model_that_packs_well_passes(kind, more):
    """Or every user of it would train with padding, two to three times slower."""
    model = build(kind, **more)
    assert suitable(model, {}) is None
    found = check(model, samples(), CPU, None)
    assert found.packed, found.reason
    assert found.difference < 1e-5


def test_lora_and_autocast_pass():
    """The model as it is trained: wrapped, in mixed precision, with an adapter whose dropout must be off."""
    model = get_peft_model(
        build("llama"), LoraConfig(r=4, lora_dropout=0.5, target_modules="all-linear", init_lora_weights=False)
    )
    assert check(model, samples(), CPU, None).difference < 1e-5
    assert check(model, samples(), CPU, torch.bfloat16).packed


def test_the_two_sides_are_calculated_apart(monkeypatch):
    """A difference of 0.0 is only worth something if one side has rows of its own and the other has none."""
    rows, model = [], build("llama")
    forward = model.model.forward

    def watch(*args, **kwargs):
        rows.append((kwargs["input_ids"].shape[1], "row" in kwargs))
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.model, "forward", watch)
    plain = []
    original = attention.sdpa_attention_forward
    monkeypatch.setattr(
        attention, "sdpa_attention_forward", lambda *args, **kwargs: plain.append(1) or original(*args, **kwargs)
    )
    assert check(model, samples(), CPU, None).packed
    assert rows == [(12 + 5 + 30, True), (12, False), (5, False), (30, False)]
    assert attention.seen.calls == 2 and len(plain) == 2 * 3


# --- wrong on purpose


def one_row(monkeypatch):
    """Kernel that takes a packed row for one sample: they see each other."""
    real = Row.of
    monkeypatch.setattr(Row, "of", classmethod(lambda cls, lengths, device: real([sum(lengths)], device)))


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_samples_that_see_each_other_are_found_out(monkeypatch, autocast):
    """The worst that packing can do: it trains without an error, on nonsense."""
    model = build("llama")
    one_row(monkeypatch)
    found = check(model, samples(), CPU, autocast)
    assert not found.packed and str(found.reason) == "the losses differ"
    assert found.difference > 0.02


def test_a_leak_is_found_with_one_labelled_sample_too(monkeypatch):
    """Most of the first rows may have lost their answers to cutoff_len."""
    model = build("llama")
    rows = samples(unlabelled=(0, 1, 2, 4, 5))
    assert check(model, rows, CPU, None).packed
    one_row(monkeypatch)
    assert not check(model, rows, CPU, None).packed


def test_samples_without_labels_prove_nothing():
    """Nothing compared is not the same as no difference: the padded path is always right."""
    found = check(build("llama"), samples(unlabelled=range(6)), CPU, None)
    assert not found.packed and "label" in str(found.reason)


def test_a_kernel_without_the_window_is_found_out(monkeypatch):
    """Only a sample longer than the window shows it."""
    monkeypatch.setattr(attention, "_window_mask", lambda *args: None)
    found = check(build("mistral", sliding_window=8), samples(), CPU, None)
    assert not found.packed and str(found.reason) == "the losses differ"


def test_the_window_is_checked_where_the_first_samples_are_short(monkeypatch):
    """The long samples of the data may come after those that are looked at."""
    short = samples((4, 6, 5))
    model = build("mistral", sliding_window=8)
    assert check(model, short, CPU, None, longest=30).packed
    monkeypatch.setattr(attention, "_window_mask", lambda *args: None)
    assert not check(model, short, CPU, None, longest=30).packed
    assert check(model, short, CPU, None, longest=8).packed


def test_a_head_that_is_wrong_in_training_is_found_out(monkeypatch):
    """The loss that is trained on is compared, not only a look-alike of it."""
    monkeypatch.setattr(head, "logit_adjustment", lambda config: None)
    assert not check(build("cohere", logit_scale=0.3), samples(), CPU, None).packed
    monkeypatch.undo()
    model = build("llama").requires_grad_(False)
    monkeypatch.setattr(
        head._FrozenHead, "forward", lambda ctx, hidden, weight, bias, targets, chunk: torch.tensor(1.0 * len(targets))
    )
    assert not check(model, samples(), CPU, None).packed


def test_a_loss_that_is_nan_does_not_pass(monkeypatch):
    """NaN is neither larger nor smaller than the tolerance."""
    monkeypatch.setattr(
        attention.F, "scaled_dot_product_attention", lambda *args, **kwargs: args[0] * float("nan"), raising=True
    )
    model = build("llama")
    assert not check(model, samples(), CPU, None).packed


@pytest.mark.parametrize("longest", [None, 30])
def test_a_window_that_is_only_in_the_mask_is_found_out(longest):
    """phimoe hands its window to the mask alone, which packed rows do not have."""
    model = build("phimoe", sliding_window=8, num_local_experts=2)
    assert suitable(model, {}) is None
    found = check(model, samples(), CPU, None, longest)
    assert not found.packed
    # …also when the samples looked at are all shorter than the window, and the losses agree.
    found = check(model, samples((4, 6, 5)), CPU, None, longest)
    assert not found.packed and "mask" in str(found.reason)
    assert check(model, samples((4, 6, 5)), CPU, None, longest=8).packed


def test_attention_of_its_own_is_found_out():
    """stablelm has a module of its own and never asks for the registered kernel."""
    model = build("stablelm")
    assert suitable(model, {}) is None
    found = check(model, samples(), CPU, None)
    assert not found.packed
    assert str(found.reason) == "its attention does not go through the shared interface"


# --- named beforehand


@pytest.mark.parametrize(
    ("kind", "more", "reason"),
    [
        ("mamba", {}, "recurrent"),
        ("falcon_h1", {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_state": 8}, "recurrent"),
        ("minimax", {"num_local_experts": 2}, "linear_attention"),
        ("lfm2", {"layer_types": ["conv", "full_attention"]}, "conv"),
        ("llama4_text", {"num_local_experts": 2}, "chunked_attention"),
        ("gemma2", {}, "terms that the kernel does not know"),
        ("gpt_oss", {"num_local_experts": 2}, "terms that the kernel does not know"),
        ("mixtral", {"output_router_logits": True}, "router"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_models_that_need_padding_are_named_with_a_reason(kind, more, reason):
    """The person sees why their model trains slower than another."""
    assert reason in str(suitable(build(kind, **more), {}))


@pytest.mark.parametrize("key", ["neftune_noise_alpha", "use_liger_kernel", "torch_compile"])
def test_settings_that_need_padding_are_named(key):
    """Each of them would be ignored by the packed step, without a word."""
    model = build("llama")
    assert key in str(suitable(model, {key: 0.1}))
    assert suitable(model, {key: 0}) is None


# --- nothing left behind


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(monkeypatch, fails):
    """The same seed must give the same run, whether the check passed, failed or was never made."""
    model = build("llama", attention_dropout=0.1)
    model.train()
    real = selfcheck._plain_losses

    def drawing(*args):
        torch.rand(3)  # as a model with random routing would
        if fails:
            raise ValueError("a model that cannot")
        return real(*args)

    monkeypatch.setattr(selfcheck, "_plain_losses", drawing)
    weights = {name: p.clone() for name, p in model.named_parameters()}
    torch.manual_seed(5)
    random.seed(5)
    state, other = torch.get_rng_state(), random.getstate()
    if fails:
        with pytest.raises(ValueError):
            check(model, samples(), CPU, None)
    else:
        check(model, samples(), CPU, None)
    assert torch.equal(torch.get_rng_state(), state) and random.getstate() == other
    assert model.training and not attention._packed
    assert all(torch.equal(p, weights[name]) and p.grad is None for name, p in model.named_parameters())


def test_fallback_to_sdpa_gives_the_models_own_losses():
    """After a failed check the model object is told to take transformers' attention again."""
    model = build("mistral", sliding_window=8).eval()
    theirs = build("mistral", "sdpa", sliding_window=8).eval()
    ids = samples()[4].ids[None]
    model.set_attn_implementation("sdpa")
    assert torch.equal(model(input_ids=ids, labels=ids).loss, theirs(input_ids=ids, labels=ids).loss)
    assert F.cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:]).isfinite()
