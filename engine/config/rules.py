"""What must hold between the keys of a training config. LLaMA-Factory 0.9.5's rules where it has one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.config.schema import TrainConfig, names
from engine.text import Phrase

NEW_TOKENS = ("add_tokens", "add_special_tokens", "new_special_tokens_config")


@dataclass(frozen=True)
class Finding:
    """A rule that does not hold: what `Problem` needs but for its place."""

    code: str
    key: str
    params: dict[str, Any] = field(default_factory=dict)
    severity: str = "error"


def train_rules(config: TrainConfig, passed: dict[str, Any]) -> Iterator[Finding]:
    """What does not go together. `passed`: keys for TrainingArguments as given."""
    yield from _task(config)
    yield from _data(config)
    yield from _measuring(config, passed)
    yield from _method(config)
    yield from _together(config)
    yield from _quantised(config)
    if config.bf16 and config.fp16:
        yield Finding("bf16_and_fp16", "fp16")
    if config.pure_bf16 and config.use_cpu:
        yield Finding("pure_bf16_on_cpu", "pure_bf16", severity="note")


def grows_vocabulary(config: TrainConfig) -> bool:
    """Whether the embeddings follow a tokenizer that gained tokens. New tokens imply it, as in LLaMA-Factory."""
    return config.resize_vocab or any(getattr(config, key) for key in NEW_TOKENS)


def wants_rows(config: TrainConfig) -> str | None:
    """The key that asks for rows to measure on or to answer."""
    asking = {
        "eval_strategy": config.eval_strategy != "no",
        "do_predict": config.do_predict,
        "predict_with_generate": config.predict_with_generate,
    }
    return next((key for key, asks in asking.items() if asks), None)


def wants_best(config: TrainConfig, passed: dict[str, Any]) -> str | None:
    """The key that asks for the best checkpoint, which measurements must tell."""
    if config.early_stopping_steps is not None:
        return "early_stopping_steps"
    return "load_best_model_at_end" if passed.get("load_best_model_at_end") else None


def _task(config: TrainConfig) -> Iterator[Finding]:
    if not config.do_train and not config.do_predict:
        yield Finding("nothing_asked", "do_train")
    if config.do_predict and not config.predict_with_generate:
        yield Finding("predict_needs_generate", "do_predict")


def _data(config: TrainConfig) -> Iterator[Finding]:
    sets, measured = names(config.dataset), names(config.eval_dataset)
    if config.do_train and not sets and not config.tokenized_path:
        yield Finding("dataset_missing", "dataset")
    if config.val_size >= 1 and config.val_size != int(config.val_size):
        share = Phrase("a share below 1 or a whole number")
        yield Finding("value_wrong", "val_size", {"expected": share, "found": repr(config.val_size)})
    if config.val_size and measured:
        yield Finding("val_size_and_eval_dataset", "val_size")
    if config.val_size and not sets and not config.tokenized_path:
        yield Finding("val_size_without_dataset", "val_size")
    if config.interleave_probs is not None:
        yield from _shares(config, sets, measured)
    if config.mask_history and config.train_on_prompt:
        yield Finding("mask_and_prompt", "mask_history")


def _shares(config: TrainConfig, sets: list[str], measured: list[str]) -> Iterator[Finding]:
    if config.mix_strategy == "concat":
        yield Finding("probs_with_concat", "interleave_probs")
        return
    given = config.interleave_probs
    count = len(given) if isinstance(given, list) else len(str(given).split(","))
    for found in (sets, measured):
        if found and len(found) != count:
            params = {"given": count, "sets": len(found)}
            yield Finding("probs_count", "interleave_probs", params)
            return


def _measuring(config: TrainConfig, passed: dict[str, Any]) -> Iterator[Finding]:
    rows = config.val_size or names(config.eval_dataset) or config.tokenized_path
    wanting = wants_rows(config)
    if wanting and not rows:
        yield Finding("eval_without_rows", wanting)
    if config.predict_with_generate and config.compute_accuracy:
        yield Finding("accuracy_and_generate", "compute_accuracy")
    best = wants_best(config, passed)
    if best and config.eval_strategy == "no":
        yield Finding("best_without_eval", best)


def _method(config: TrainConfig) -> Iterator[Finding]:
    if config.finetuning_type == "lora":
        return
    for key in ("use_rslora", "use_dora", "pissa_init"):
        if getattr(config, key):
            yield Finding("only_with_lora", key, {"given": config.finetuning_type})
    if config.loraplus_lr_ratio is not None:
        yield Finding("only_with_lora", "loraplus_lr_ratio", {"given": config.finetuning_type})
    if names(config.adapter_name_or_path):
        yield Finding("only_with_lora", "adapter_name_or_path", {"given": config.finetuning_type})


def _together(config: TrainConfig) -> Iterator[Finding]:
    """Parts of methods that need or exclude each other."""
    if config.pissa_convert and not config.pissa_init:
        yield Finding("needs_other_key", "pissa_convert", {"needed": "pissa_init: true"})
    if config.pissa_convert and config.use_dora:
        yield Finding("keys_exclude", "pissa_convert", {"other": "use_dora"})
    if config.use_muon and config.loraplus_lr_ratio is not None:
        yield Finding("keys_exclude", "use_muon", {"other": "loraplus_lr_ratio"})
    if config.finetuning_type == "freeze" and not config.freeze_trainable_layers and not config.freeze_extra_modules:
        yield Finding("freeze_no_layers", "freeze_trainable_layers")
    if config.train_from_scratch and config.quantization_bit:
        yield Finding("keys_exclude", "train_from_scratch", {"other": "quantization_bit"})


def _quantised(config: TrainConfig) -> Iterator[Finding]:
    if config.quantization_bit is None:
        return
    adapters = names(config.adapter_name_or_path)
    if config.finetuning_type != "lora":
        yield Finding("quantised_only_lora", "quantization_bit", {"given": config.finetuning_type})
    if config.pissa_init:
        yield Finding("quantised_pissa", "pissa_init")
    for key in ("resize_vocab", *NEW_TOKENS):
        if getattr(config, key):
            yield Finding("quantised_vocab", key)
    if config.create_new_adapter and adapters:
        yield Finding("quantised_new_adapter", "create_new_adapter")
    elif len(adapters) > 1:
        yield Finding("quantised_adapters", "adapter_name_or_path")
