"""Which training methods go together. LLaMA-Factory's rules, from the config alone: no torch."""

from __future__ import annotations

from engine.config.schema import TrainConfig, names
from engine.errors import Problem


def method_problems(config: TrainConfig) -> list[Problem]:
    """Errors: keys of the method that exclude each other, or that ask for what cannot be."""
    found = []

    def refuse(code: str, key: str, **params: str) -> None:
        found.append(Problem(code, {"key": key, **params}, key))

    adapters = names(config.adapter_name_or_path)
    if config.finetuning_type != "lora":
        if adapters:
            refuse("method_lora_only", "adapter_name_or_path", method=config.finetuning_type)
        for key in ("use_dora", "use_rslora", "pissa_init", "pissa_convert", "loraplus_lr_ratio", "create_new_adapter"):
            if getattr(config, key):
                refuse("method_lora_only", key, method=config.finetuning_type)
        if config.quantization_bit:
            refuse("quantised_lora_only", "quantization_bit", method=config.finetuning_type)
    if config.quantization_bit:
        for key in ("pissa_init", "resize_vocab", "create_new_adapter", "train_from_scratch", *_NEW_TOKENS):
            if getattr(config, key):
                refuse("not_on_quantised", key)
        if len(adapters) > 1:
            refuse("quantised_one_adapter", "adapter_name_or_path")
    if config.pissa_convert and not config.pissa_init:
        refuse("needs_other_key", "pissa_convert", needed="pissa_init: true")
    if config.pissa_convert and config.use_dora:
        refuse("keys_exclude", "pissa_convert", other="use_dora")
    if config.use_muon and config.loraplus_lr_ratio:
        refuse("keys_exclude", "use_muon", other="loraplus_lr_ratio")
    if config.finetuning_type == "freeze" and not (config.freeze_trainable_layers or config.freeze_extra_modules):
        refuse("freeze_no_layers", "freeze_trainable_layers")
    return found


def grows_vocabulary(config: TrainConfig) -> bool:
    """Whether the embeddings follow a tokenizer that gained tokens. New tokens imply it, as in LLaMA-Factory."""
    return config.resize_vocab or any(getattr(config, key) for key in _NEW_TOKENS)


_NEW_TOKENS = ("add_tokens", "add_special_tokens", "new_special_tokens_config")
