"""What a job's settings may be changed to so that it needs less: exact changes, then approximate ones, by rank.

A change writes LLaMA-Factory's own keys. What the plan of a step chooses by itself (tokens in a row, layers that
recompute, the head's chunk) is no change: it is tried with every one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.config.schema import TrainConfig
from engine.data.cutoffs import cutoffs
from engine.memory.case import Case, Outcome
from engine.text import Phrase

LEAST_RANK = 4
AMPERE = (8, 0)


@dataclass(frozen=True)
class Change:
    """Other settings. saves: bytes of the least that the job needs; time: of a step, relative to before.

    effect: what it costs, in words; fits: whether it suffices alone.
    """

    title: Phrase
    settings: Mapping[str, Any]
    exact: bool
    effect: Phrase
    saves: int = 0
    time: float = 1.0
    fits: bool = False

    @property
    def overrides(self) -> list[str]:
        """As `key=value`, for a command line."""
        return [f"{name}={yaml_value(value)}" for name, value in self.settings.items()]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "title": self.title.say(),
            "settings": dict(self.settings),
            "exact": self.exact,
            "effect": self.effect.say(),
            "saves": self.saves,
            "time": round(self.time, 3),
            "fits": self.fits,
        }


def exact_changes(case: Case, before: Outcome) -> Iterator[Change]:
    """Changes with the same result, whether or not they save anything. before: what the job comes to as it is."""
    config, padded = case.config, not before.recipe.packed
    if config.disable_gradient_checkpointing:
        yield Change(
            Phrase("Layers recompute, as many as must"),
            {"disable_gradient_checkpointing": None},
            True,
            Phrase("the same result; what is computed twice takes its time"),
        )
    if padded and config.flash_attn != "auto":
        yield Change(
            Phrase("Packed rows with their own attention, instead of padding"),
            {"flash_attn": "auto"},
            True,
            Phrase("the same result"),
        )
    batch, steps = config.per_device_train_batch_size, config.gradient_accumulation_steps
    while padded and batch > 1:
        share = next(number for number in range(2, batch + 1) if batch % number == 0)
        batch, steps = batch // share, steps * share
        title = Phrase("{batch} samples at a time, {steps} times a step", {"batch": batch, "steps": steps})
        if batch == 1:
            title = Phrase("One sample at a time, {steps} times a step", {"steps": steps})
        yield Change(
            title,
            {"per_device_train_batch_size": batch, "gradient_accumulation_steps": steps},
            True,
            Phrase("the same optimiser steps; smaller batches leave more of the device idle"),
        )
    if before.evaluation > 0 and padded and config.per_device_eval_batch_size > 1:
        yield Change(
            Phrase("Measuring one sample at a time"),
            {"per_device_eval_batch_size": 1},
            True,
            Phrase("the same figures; measuring takes longer"),
        )


def approximate_changes(case: Case, before: Outcome) -> Iterator[Change]:
    """Changes with another result that the device can do, the mildest first."""
    config, device = case.config, case.device
    bf16 = device.kind == "cuda" and (device.capability >= AMPERE or device.capability == (0, 0))
    quantisable = case.quantisable and device.kind == "cuda"
    if bf16 and not (config.bf16 or config.fp16 or config.pure_bf16):
        yield Change(
            Phrase("Calculating in bfloat16"),
            {"bf16": True},
            False,
            Phrase("sums are rounded to 8 bits of precision"),
        )
    if bf16 and not config.pure_bf16:
        title = Phrase("What learns is kept in bfloat16 too, without autocast")
        effect = Phrase("small steps of the weights are rounded away")
        if config.finetuning_type == "lora":  # peft keeps the adapter in fp32 even so
            title = Phrase("The base in bfloat16, without autocast")
            effect = Phrase("the frozen weights and the sums with them are rounded to 8 bits of precision")
        yield Change(title, {"pure_bf16": True}, False, effect)
    if quantisable and config.optim.startswith("adamw_torch") and "bit" not in config.optim:
        yield Change(
            Phrase("An optimiser with 8-bit state"),
            {"optim": "paged_adamw_8bit"},
            False,
            Phrase("the moments of AdamW are rounded to 8 bits"),
        )
    if config.lora_dropout and config.finetuning_type == "lora":
        yield Change(
            Phrase("No dropout in the adapter"),
            {"lora_dropout": 0.0},
            False,
            Phrase("one guard less against overfitting"),
        )
    if quantisable and before.recipe.bits is None:
        yield Change(
            Phrase("The base in 8 bits"),
            {"quantization_bit": 8},
            False,
            Phrase("the frozen weights are rounded to 8 bits, and each use of them takes longer"),
        )
    if quantisable and before.recipe.bits != 4:
        yield Change(
            Phrase("The base in 4 bits"),
            {"quantization_bit": 4, "double_quantization": True},
            False,
            Phrase("the frozen weights are rounded to 4 bits, and each use of them takes longer"),
        )
    yield from _ranks(config)
    yield from _cutoffs(case)


def _ranks(config: TrainConfig) -> Iterator[Change]:
    """Half the rank, again and again; alpha in proportion, so that the adapter's strength stays."""
    rank = config.lora_rank // 2
    while config.finetuning_type == "lora" and not config.adapter_name_or_path and rank >= LEAST_RANK:
        settings: dict[str, Any] = {"lora_rank": rank}
        if config.lora_alpha is not None:
            settings["lora_alpha"] = max(1, round(config.lora_alpha * rank / config.lora_rank))
        yield Change(
            Phrase("Rank {rank} instead of {before}", {"rank": rank, "before": config.lora_rank}),
            settings,
            False,
            Phrase("a smaller adapter can learn less"),
        )
        rank //= 2


def _cutoffs(case: Case) -> Iterator[Change]:
    for cutoff in case.cuts or cutoffs(case.data.longest):
        rows = case.cuts.get(cutoff)
        effect = Phrase("longer samples are cut, and what is cut is not learnt")
        if rows is not None:
            values = {"rows": rows, "samples": case.data.samples}
            effect = Phrase("{rows} of {samples} samples are cut, and what is cut is not learnt", values)
            if case.config.packing or case.config.neat_packing:  # data.samples are rows then
                effect = Phrase("samples that are cut: {rows}; what is cut is not learnt", values)
        title = Phrase("At most {cutoff} tokens of a sample", {"cutoff": cutoff})
        yield Change(title, {"cutoff_len": cutoff}, False, effect)


def yaml_value(value: Any) -> str:
    """A setting as YAML writes it in a line."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
