"""Some layers, or all, compute their activations again in backward: the same gradients, the layers that were asked."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    FalconConfig,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    LlavaConfig,
)

from engine.train.attention import NAME, packed_rows
from engine.train.packing import Tokens, install_packed_forward, packed_inputs
from engine.train.recompute import layers_of, recompute_layers, recomputing

pytestmark = pytest.mark.usefixtures("quick")
LAYERS = 4
SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.2,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "gemma3": Gemma3TextConfig(**SIZES, sliding_window=4, pad_token_id=0),
}


def build(kind, *, lora):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind], attn_implementation=NAME, dtype=torch.float32)
    model.config.use_cache = False
    install_packed_forward(model)
    if lora:
        options = {"target_modules": "all-linear", "lora_dropout": 0.3, "init_lora_weights": False}
        model = get_peft_model(model, LoraConfig(r=4, task_type="CAUSAL_LM", **options))
    return model.train()


def gradients(model, count):
    """(gradients of one packed row with `count` layers that recompute, how often each layer's MLP ran)."""
    assert recompute_layers(model, count) == count == recomputing(model)
    calls = [0] * LAYERS
    hooks = [
        layer.mlp.register_forward_pre_hook(lambda *_, at=at: calls.__setitem__(at, calls[at] + 1))
        for at, layer in enumerate(layers_of(model))
    ]
    torch.manual_seed(5)  # dropout draws the same
    ids = torch.arange(3, 23)
    with packed_rows():
        model(**packed_inputs([Tokens(ids[:13], ids[:13]), Tokens(ids[13:], ids[13:])]))["loss"].backward()
    for hook in hooks:
        hook.remove()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found, calls


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_gradients_are_the_same_whichever_layers_recompute(kind, lora):
    """Chosen from memory and so from chance: what is learned must not depend on it. With dropout too, bit for bit."""
    model = build(kind, lora=lora)
    kept, calls = gradients(model, 0)
    assert calls == [1] * LAYERS and kept
    for count in (1, 3, LAYERS, 2, 0):  # also back from more to fewer
        found, calls = gradients(model, count)
        assert calls == [2] * count + [1] * (LAYERS - count)
        assert found.keys() == kept.keys()
        assert all(torch.equal(found[name], kept[name]) for name in kept)


def test_more_than_there_are_is_all():
    model = build("llama", lora=True)
    assert recompute_layers(model, 99) == LAYERS == recomputing(model)


def test_an_image_encoder_is_not_counted_and_recomputes_only_with_all():
    """Its layers come first in the model: counted, a partial choice would spare none of the language's activations."""
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=8, patch_size=4
    )
    config = LlavaConfig(text_config=CONFIGS["llama"], vision_config=vision, image_token_index=5)
    model = AutoModelForImageTextToText.from_config(config)
    assert len(layers_of(model)) == LAYERS
    encoder = [module for name, module in model.named_modules() if "vision" in name and name.endswith(".layers.0")]
    assert len(encoder) == 1
    for count, both in ((LAYERS - 1, False), (LAYERS, True), (0, False)):
        assert recompute_layers(model, count) == count == recomputing(model)
        assert encoder[0].gradient_checkpointing is both


def test_other_layers_too():
    """GPT-2 and falcon keep theirs under other names."""
    small = {"n_embd": 32, "n_layer": 3, "n_head": 4, "vocab_size": 97}
    falcon = FalconConfig(vocab_size=97, hidden_size=32, num_hidden_layers=3, num_attention_heads=4)
    for config in (GPT2Config(**small), falcon):
        assert recompute_layers(AutoModelForCausalLM.from_config(config), 2) == 2


def test_an_architecture_that_cannot_is_left_as_it_is():
    assert recompute_layers(torch.nn.Linear(2, 2), 3) == 0
