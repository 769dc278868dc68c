"""LoRA and its kin around a base model: a new adapter, one to go on from, others merged into the base before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.config.rules import grows_vocabulary
from engine.config.schema import TrainConfig, names
from engine.errors import ConfigError, Problem

# Never adapted by `all`: LLaMA-Factory's names of heads by model type; lm_head for every model.
_HEADS = {"chatglm": ("output_layer",), "internlm2": ("output",)}
# Of a model that also sees or hears: what it sees and hears with stays as it is.
_SENSES = ("visual", "vision", "audio", "image", "multi_modal_projector", "mm_projector", "merger", "aligner")


def add_adapter(model: torch.nn.Module, config: TrainConfig) -> tuple[torch.nn.Module, list[Problem]]:
    """(wrapped model, what to know of it), with a new adapter, or the one that the config goes on from.

    Of several adapters all but the last are merged into the base first; with create_new_adapter all of them. What is
    trained is in fp32, by peft. Raises ConfigError: lora_target_unknown, adapter_wrong.
    """
    from peft import PeftModel

    given = names(config.adapter_name_or_path)
    going_on = bool(given) and not config.create_new_adapter
    merged = given[:-1] if going_on else given
    notes = []
    for adapter in merged:
        model = _load(PeftModel, model, adapter, config, is_trainable=False).merge_and_unload()
    if merged:
        notes.append(Problem("adapters_merged", {"adapters": merged}, "adapter_name_or_path", severity="warning"))
    if going_on:
        wrapped = _load(PeftModel, model, given[-1], config, is_trainable=True)
        notes += _other_settings(wrapped, config)
    else:
        wrapped, more = _new_adapter(model, config)
        notes += more
    for adapter in wrapped.peft_config.values():
        adapter.base_model_name_or_path = model.name_or_path
    return wrapped, notes


def _load(cls: Any, model: torch.nn.Module, adapter: str, config: TrainConfig, *, is_trainable: bool) -> Any:
    """An adapter on disk, or on a hub, around `model`. A folder inside it where adapter_folder says so."""
    options: dict[str, Any] = {"subfolder": config.adapter_folder} if config.adapter_folder else {}
    if not Path(adapter).is_dir():
        options |= {"cache_dir": config.cache_dir, "revision": config.model_revision}
    try:
        return cls.from_pretrained(model, adapter, is_trainable=is_trainable, **options)
    except (ValueError, RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        params = {"path": adapter, "reason": reason}
        raise ConfigError(Problem("adapter_wrong", params, "adapter_name_or_path")) from None


def _other_settings(wrapped: Any, config: TrainConfig) -> list[Problem]:
    """A note where the adapter's own rank or strength is not the config's: its own count."""
    own = wrapped.peft_config["default"]
    asked = (config.lora_rank, config.lora_alpha or 2 * config.lora_rank)
    if (own.r, own.lora_alpha) == asked:
        return []
    params = {"rank": own.r, "alpha": own.lora_alpha, "asked_rank": asked[0], "asked_alpha": asked[1]}
    return [Problem("adapter_settings_win", params, "adapter_name_or_path", severity="note")]


def _new_adapter(model: torch.nn.Module, config: TrainConfig) -> tuple[Any, list[Problem]]:
    from peft import LoraConfig, get_peft_model

    start: Any = True
    if config.pissa_init:
        start = "pissa" if config.pissa_iter == -1 else f"pissa_niter_{config.pissa_iter}"
    saved = names(config.additional_target)
    notes = []
    if not saved and grows_vocabulary(config):
        saved = embedding_names(model)
        notes.append(Problem("embeddings_trained", {"modules": saved}, "resize_vocab", severity="warning"))
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha or 2 * config.lora_rank,
        lora_dropout=config.lora_dropout,
        use_rslora=config.use_rslora,
        use_dora=config.use_dora,
        init_lora_weights=start,
        target_modules=lora_targets(model, names(config.lora_target)),
        modules_to_save=saved or None,
    )
    experts = fused_experts(model)
    if experts and names(config.lora_target) == ["all"]:
        notes.append(Problem("experts_not_adapted", {"example": experts[0]}, "lora_target", severity="warning"))
    if config.pissa_init and config.pissa_iter != -1 and not config.pissa_convert:
        notes.append(Problem("pissa_needs_its_base", {}, "pissa_init", severity="warning"))
    try:
        return get_peft_model(model, lora), notes
    except ValueError as error:
        if "Target modules" not in str(error):
            raise
        there = sorted({name.rpartition(".")[2] for name in linear_modules(model)})
        params = {"given": names(config.lora_target), "there": there}
        raise ConfigError(Problem("lora_target_unknown", params, "lora_target")) from None


def lora_targets(model: torch.nn.Module, given: list[str]) -> list[str] | str:
    """`all`: the last name of every linear layer but the output head; else what was given."""
    if given != ["all"]:
        return given
    found = linear_modules(model)
    if not is_composite(model):  # of a composite one the full names: its towers have layers of the same last names
        found = sorted({name.rpartition(".")[2] for name in found})
    return found or "all-linear"  # Conv1D models, which peft knows


def linear_modules(model: torch.nn.Module) -> list[str]:
    """Full names of linear layers, quantised ones included, but the output head and the towers of a composite model."""
    head = model.get_output_embeddings()
    forbidden = ("lm_head", *_HEADS.get(getattr(model.config, "model_type", ""), ()))
    if is_composite(model):
        forbidden += _SENSES
    return [
        name
        for name, module in model.named_modules()
        if "Linear" in type(module).__name__
        and "Embedding" not in type(module).__name__
        and module is not head
        and not any(part in name for part in forbidden)
    ]


def is_composite(model: torch.nn.Module) -> bool:
    """Whether the model also sees or hears."""
    return any(hasattr(model.config, name) for name in ("vision_config", "audio_config"))


def fused_experts(model: torch.nn.Module) -> list[str]:
    """Experts that are one tensor of three dimensions for all of them: no linear layers, so `all` passes them by."""
    return [name for name, parameter in model.named_parameters() if parameter.ndim == 3 and "experts" in name]


def embedding_names(model: torch.nn.Module) -> list[str]:
    """Last names of the modules that embed tokens and that predict them, in alphabetical order."""
    both = (model.get_input_embeddings(), model.get_output_embeddings())
    return sorted({name.rpartition(".")[2] for name, m in model.named_modules() if any(m is one for one in both)})
