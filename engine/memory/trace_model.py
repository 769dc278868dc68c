"""A model of a config on meta, as a recipe trains it, and the few layers of it that stand for all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from engine.memory.faking import VARLEN, PackedLinear
from engine.memory.job import Recipe
from engine.train.adapters import is_composite, linear_modules
from engine.train.attention import NAME
from engine.train.model import skip_adapter_casts
from engine.train.packing import install_packed_forward
from engine.train.recompute import recompute_layers


@dataclass
class Cut:
    """A model that has lost most of its layers. `stands`: for each layer of the full model the layer kept for it.

    frozen, trained: (bytes of each) tensors of the full model, without gradients and optimiser state.
    """

    model: torch.nn.Module
    layers: torch.nn.ModuleList
    stands: list[int]
    frozen: list[int]
    trained: list[torch.Tensor]


def attention_of(recipe: Recipe) -> str:
    """The name under which transformers finds the attention to trace."""
    if recipe.attention == "eager":
        return "eager"
    if not recipe.packed:
        return "sdpa"
    return VARLEN if recipe.attention == "varlen" else NAME


def build(config_json: Mapping[str, Any], recipe: Recipe, recompute: int) -> Cut:
    """The model without its weights, the first `recompute` layers checkpointed."""
    lm = _bare(config_json, recipe)
    install_packed_forward(lm)
    text = lm.config.get_text_config()
    layers = decoder_layers(lm, text.num_hidden_layers)
    model = _trainable(lm, recipe, text.num_hidden_layers)
    if recompute:
        recompute_layers(model, recompute)
    if recipe.autocast:
        skip_adapter_casts(model)
    model.train()
    tensors = {id(one): one for one in (*model.parameters(), *model.buffers())}.values()
    frozen = [_bytes(one) for one in tensors if not one.requires_grad]
    trained = [one for one in tensors if one.requires_grad]
    kept, stands = representatives(signatures(model, layers, text))
    _keep(layers, text, kept)
    return Cut(model, layers, stands, frozen, trained)


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _bare(config_json: Mapping[str, Any], recipe: Recipe) -> Any:
    plain = {name: value for name, value in config_json.items() if name != "quantization_config"}
    config = AutoConfig.for_model(**plain)
    config.use_cache = False
    options: dict[str, Any] = {"dtype": getattr(torch, recipe.base), "attn_implementation": attention_of(recipe)}
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, **options)


def decoder_layers(lm: Any, count: int) -> torch.nn.ModuleList:
    """The list of the decoder's layers: of those with that length the one with most parameters."""
    lists = [m for m in lm.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == count]
    if not lists:
        raise ValueError("its layers are not found")
    return max(lists, key=lambda found: sum(p.numel() for p in found.parameters()))


def _trainable(lm: Any, recipe: Recipe, layers: int) -> Any:
    """As engine.train.methods prepares it: quantised, with an adapter or partly frozen, each part in its dtype."""
    if recipe.bits:
        _quantise(lm, recipe)
    if recipe.method == "lora":
        model = _adapted(lm, recipe)
    else:
        model = lm
        learning = _learning(recipe, layers)
        for name, parameter in lm.named_parameters():
            parameter.requires_grad_(recipe.method == "full" or any(f".{index}." in name for index in learning))
    for module in model.modules():
        for parameter in module._parameters.values():
            if parameter is not None and parameter.requires_grad:
                parameter.data = parameter.data.to(getattr(torch, recipe.trained))
    return model


def _learning(recipe: Recipe, layers: int) -> range:
    """freeze_trainable_layers: the last so many, or the first where it is below 0."""
    count = recipe.trained_layers
    return range(max(0, layers - count), layers) if count > 0 else range(min(-count, layers))


def _adapted(lm: Any, recipe: Recipe) -> Any:
    from peft import LoraConfig, get_peft_model

    adapter = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_dropout=recipe.dropout,
        use_dora=recipe.dora,
        target_modules=_targets(lm, recipe),
        modules_to_save=list(recipe.saved) or None,
    )
    return get_peft_model(lm, adapter, low_cpu_mem_usage=True)


def _targets(lm: Any, recipe: Recipe) -> list[str]:
    """As engine.train.adapters chooses them: of a model that also sees or hears only those of its language part."""
    if not is_composite(lm):
        return list(recipe.targets)
    return [name for name in linear_modules(lm) if name.rpartition(".")[2] in recipe.targets]


def _quantise(lm: Any, recipe: Recipe) -> None:
    head = lm.get_output_embeddings()
    compute = getattr(torch, recipe.compute)
    for module in list(lm.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear and child is not head:
                setattr(module, name, PackedLinear(child, recipe.bits or 4, recipe.double, compute))
    lm.requires_grad_(False)


def peculiarities(model: torch.nn.Module) -> list[str]:
    """`experts`: tokens choose their way by their values. `recurrent`: there may be kernels that the trace has not."""
    names = {type(module).__name__ for module in model.modules()}
    found = ["experts"] if any("Experts" in name for name in names) else []
    return found + (["recurrent"] if any("Mamba" in name or "DeltaNet" in name for name in names) else [])


def signatures(model: torch.nn.Module, layers: torch.nn.ModuleList, text: Any) -> list[Any]:
    """For each layer what its events depend on: its modules, what of it learns, whether it recomputes, its type, and

    whether a gradient goes through it to something below.
    """
    inside = {id(p) for layer in layers for p in layer.parameters()}
    reached = any(p.requires_grad and id(p) not in inside and "embed" in n for n, p in model.named_parameters())
    kinds = getattr(text, "layer_types", None) or [None] * len(layers)
    found = []
    for layer, kind in zip(layers, kinds, strict=True):
        parts = tuple((name, tuple(p.shape), p.dtype, p.requires_grad) for name, p in sorted(layer.named_parameters()))
        again = getattr(layer, "gradient_checkpointing", False)
        numbers = tuple(
            (name, value)
            for name, value in sorted(vars(layer).items())
            if isinstance(value, bool | str) and name != "gradient_checkpointing"
        )
        found.append((type(layer), parts, kind, again, numbers, reached))
        reached = reached or any(p.requires_grad for p in layer.parameters())
    return found


def representatives(found: list[Any]) -> tuple[list[int], list[int]]:
    """(layers to keep, for each layer the position among the kept of the one that stands for it).

    Kept are the first layer, the last, and between them the first of each type and type of the layer after it, which
    decides how long an output lives: neighbours then are neighbours of a kind that the full model has too.
    """
    last = len(found) - 1
    middle: dict[Any, int] = {}
    for index in range(1, last):
        middle.setdefault((found[index], found[index + 1]), index)
    kept = sorted({0, last, *middle.values()})
    position = {index: at for at, index in enumerate(kept)}
    stands = [
        position[index if index in (0, last) else middle[found[index], found[index + 1]]] for index in range(last + 1)
    ]
    return kept, stands


def _keep(layers: torch.nn.ModuleList, text: Any, kept: list[int]) -> None:
    """Drop the other layers, and what the config says of them."""
    full = len(layers)
    chosen = [layers[index] for index in kept]
    del layers[len(kept) :]
    for at, layer in enumerate(chosen):
        layers[at] = layer
    for name, value in list(vars(text).items()):
        if isinstance(value, list) and len(value) == full and re.search("layer|type", name):
            setattr(text, name, [value[index] for index in kept])
    text.num_hidden_layers = len(kept)
