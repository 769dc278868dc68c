"""The head where there is a label: value and gradients are those of cross-entropy over all logits."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, CohereConfig, Gemma2Config, GraniteConfig, LlamaConfig, PhiConfig

from engine.train import head
from engine.train.head import token_losses

SIZES = {
    "vocab_size": 61,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "initializer_range": 0.5,
}
CONFIGS = {
    "plain": LlamaConfig(**SIZES),
    "bias": PhiConfig(**SIZES),
    "final_logit_softcapping": Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=2.0),
    "logit_scale": CohereConfig(**SIZES, logit_scale=0.3, pad_token_id=0),
    "logits_scaling": GraniteConfig(**SIZES, logits_scaling=4.0),
}
FROZEN, TRAINED, ADAPTED = "frozen", "trained", "adapted"
summed_loss = partial(head.summed_loss, chunk=10)  # 23 labelled tokens are three chunks, the last one not full


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Of the self-check too."""
    monkeypatch.setattr(head, "CHUNK", 10)


def build(kind, how):
    """(causal LM, parameters of its head that are trained)."""
    torch.manual_seed(0)
    lm = AutoModelForCausalLM.from_config(CONFIGS[kind], dtype=torch.float32)
    output = lm.get_output_embeddings()
    with torch.no_grad():
        for parameter in output.parameters():
            parameter.normal_()
    lm.requires_grad_(False)
    if how == TRAINED:
        output.requires_grad_(True)
    elif how == ADAPTED:
        wrapped = get_peft_model(lm, LoraConfig(r=2, target_modules=["lm_head"], task_type="CAUSAL_LM"))
        lm, output = wrapped.get_base_model(), wrapped.get_base_model().get_output_embeddings()
        torch.nn.init.normal_(output.lora_B["default"].weight)
    return lm, [parameter for parameter in output.parameters() if parameter.requires_grad]


def states(count, dtype=torch.float32):
    torch.manual_seed(1)
    hidden = torch.randn(count, 16, dtype=dtype, requires_grad=True)
    return hidden, torch.randint(0, 61, (count,))


def by_transformers(lm, hidden, targets):
    """The sum that the model's own forward and loss arrive at, its body replaced by our hidden states."""

    class Body(torch.nn.Module):
        def forward(self, *args, **kwargs):
            from transformers.modeling_outputs import BaseModelOutputWithPast

            return BaseModelOutputWithPast(last_hidden_state=hidden[None])

    own, lm.model = lm.model, Body()
    try:
        logits = lm(input_ids=torch.zeros(1, len(targets), dtype=torch.long)).logits[0]
    finally:
        lm.model = own
    return F.cross_entropy(logits.float(), targets, reduction="sum")


@pytest.mark.parametrize("how", [FROZEN, TRAINED, ADAPTED])
@pytest.mark.parametrize("kind", CONFIGS)
def test_value_and_gradients_are_those_of_all_logits_at_once(kind, how):
    """A head that forgot a bias, a scale or a soft cap would train towards something else, and look as if it worked."""
    lm, trained = build(kind, how)
    hidden, targets = states(23)
    expected = by_transformers(lm, hidden, targets)
    wanted = torch.autograd.grad(expected / 7, [hidden, *trained])
    loss = summed_loss(lm, hidden, targets)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for mine, theirs in zip(torch.autograd.grad(loss / 7, [hidden, *trained]), wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        assert summed_loss(lm, hidden, targets).item() == pytest.approx(expected.item(), rel=1e-6)
        assert token_losses(lm, hidden, targets).sum().item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("how", [FROZEN, TRAINED, ADAPTED])
def test_no_label_is_a_loss_of_zero_with_gradients_of_zero(how):
    """A gradient that is missing instead makes AdamW skip the tensor, and other processes wait for it for ever."""
    lm, trained = build("plain", how)
    hidden, _ = states(5)
    loss = summed_loss(lm, hidden[[]], torch.zeros(0, dtype=torch.long))
    assert loss.item() == 0.0 and loss.dtype == torch.float32
    for gradient in torch.autograd.grad(loss, [hidden, *trained]):
        assert gradient is not None and not gradient.any()


@pytest.mark.parametrize("how", [FROZEN, TRAINED])
@pytest.mark.parametrize("kind", ["plain", "bias", "final_logit_softcapping"])
def test_under_autocast_it_calculates_in_bfloat16(kind, how):
    """Mixed precision with a head (and its bias) kept in fp32: as near as bfloat16 is to the exact sum."""
    lm, _ = build(kind, how)
    hidden, targets = states(23)
    expected = by_transformers(lm, hidden, targets)
    (wanted,) = torch.autograd.grad(expected, [hidden])
    with torch.autocast("cpu", torch.bfloat16):
        loss = summed_loss(lm, hidden, targets)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=5e-3)
    (mine,) = torch.autograd.grad(loss, [hidden])
    assert (mine - wanted).norm() < 0.02 * wanted.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dividing_by_the_count_does_not_tilt_the_gradient(dtype):
    """1/491 in bfloat16 is off by 0.4 %: as if the learning rate were; a loss scale of 2**17 is infinite in float16."""
    lm, _ = build("plain", FROZEN)
    lm.to(dtype)
    hidden, targets = states(23, dtype)
    (unscaled,) = torch.autograd.grad(summed_loss(lm, hidden, targets), [hidden])
    (scaled,) = torch.autograd.grad(summed_loss(lm, hidden, targets) / 491, [hidden])
    ratio = (scaled.double() * unscaled.double()).sum() / unscaled.double().square().sum() * 491
    assert ratio.item() == pytest.approx(1.0, abs=1e-3)
    with torch.no_grad():
        lm.lm_head.weight.mul_(1e-3)
    (large,) = torch.autograd.grad(summed_loss(lm, hidden, targets) * 2.0**17, [hidden])
    assert large.isfinite().all()


def test_a_large_hidden_state_in_float16_does_not_make_a_nan():
    """A sum over all hidden states overflows float16; it must not be part of the loss."""
    lm, _ = build("plain", TRAINED)
    lm.to(torch.float16)
    hidden = torch.full((23, 16), 3000.0, dtype=torch.float16, requires_grad=True)
    with torch.no_grad():
        lm.lm_head.weight.mul_(1e-3)
    assert summed_loss(lm, hidden, torch.zeros(23, dtype=torch.long)).isfinite()


@pytest.mark.parametrize("how", [FROZEN, TRAINED, ADAPTED])
@pytest.mark.parametrize("kind", ["plain", "final_logit_softcapping"])
def test_logits_are_not_kept(kind, how):
    """Logits of 8,000 tokens of a 150,000-token vocabulary are 4.8 GB in fp32: they are the peak of small models."""
    lm, _ = build(kind, how)
    hidden, targets = states(64)
    kept, largest = [], [0]

    def pack(tensor):
        kept.append(tensor.numel())
        return tensor

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple | list) else [result]:
                if isinstance(tensor, torch.Tensor) and tensor.shape[-1:] == (61,) and len(tensor) != 16:
                    largest[0] = max(largest[0], tensor.numel())
            return result

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), Largest():
        loss = summed_loss(lm, hidden, targets, chunk=8)
        loss.backward()
    assert 0 < largest[0] <= 8 * 61  # a chunk at a time, in backward too
    parameters = {parameter.numel() for parameter in lm.get_output_embeddings().parameters()}
    assert all(size <= hidden.numel() or size in parameters for size in kept)
    assert sum(size for size in kept if size not in parameters) < 64 * 61
