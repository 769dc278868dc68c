"""From a loaded base to a model that trains: grown, wrapped or partly frozen, each parameter in its number format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from engine.config.rules import grows_vocabulary
from engine.config.schema import TrainConfig
from engine.errors import Problem
from engine.text import Phrase
from engine.train.adapters import add_adapter
from engine.train.model import load_base
from engine.train.packing import install_packed_forward
from engine.train.parts import choose_trainable
from engine.train.precision import Precision, refuse_mixed, upcast_normalisations, upcast_trainable
from engine.train.vocabulary import grow
from engine.train.whole import is_adapter

Tell = Callable[[Problem], None]


def prepare_model(
    config: TrainConfig, path: Path, tokenizer: Any, precision: Precision, device: torch.device, tell: Tell
) -> torch.nn.Module:
    """The model that `config` trains, from the folder `path`, on `device`. Raises ConfigError, EnvironmentProblem."""
    set_seed(config.seed)
    model = load_base(config, path, precision, device, tell)
    install_packed_forward(model)
    if grows_vocabulary(config):
        grow(model, tokenizer, path, config, tell)
    if config.upcast_layernorm:
        upcast_normalisations(model)
    set_seed(config.seed)
    if config.finetuning_type == "lora":
        model, notes = add_adapter(model, config)
        for note in notes:
            tell(note)
    else:
        chosen = choose_trainable(model, config)
        if chosen != ["all"]:
            tell(Problem("freeze_chosen", {"parts": chosen}, "freeze_trainable_layers", severity="note"))
    if not config.pure_bf16:  # peft keeps new adapters in fp32 even so, in LLaMA-Factory too
        upcast_trainable(model)
    refuse_mixed(model, precision)
    return model


def base_of(model: Any) -> Any:
    """The causal LM inside an adapter's wrapping, or the model itself."""
    return model.get_base_model() if is_adapter(model) else model


def asked_attention(config: TrainConfig) -> Phrase | None:
    """Why the packed step's own attention is not used: the config asks for another one."""
    if config.flash_attn == "auto":
        return None
    return Phrase("{key} is set", {"key": f"flash_attn: {config.flash_attn}"})
