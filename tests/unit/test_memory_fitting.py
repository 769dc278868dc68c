"""Making a job fit: exact changes before approximate ones, no more than it takes, and only what may be set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from engine.config.overrides import with_overrides
from engine.config.reading import Document
from engine.config.schema import TrainConfig
from engine.memory.case import Case, look
from engine.memory.fitting import Fit, changes, fit, fit_closely
from engine.memory.job import DataShape, Device, Parts, Recipe, StepPlan

LAYERS = 10
GPU = Device("cuda", "a card", 10**10, 10**10, capability=(8, 6))
DATA = DataShape(samples=100, tokens=40_000, labelled=20_000, longest=1_024)
QUIET = {"disable_gradient_checkpointing": True, "bf16": True, "pure_bf16": True, "optim": "sgd"}


@dataclass(frozen=True)
class Costs:
    """By the config's own words: weights of 1,000,000 bytes at 16 bits, 1,000 a rank, 8,000 of optimiser state at 32

    bits; 100 a token and layer that keeps, 110 with dropout, 10 where it recomputes.
    """

    config: TrainConfig

    def parts(self, plan: StepPlan) -> Parts:
        bits = self.config.quantization_bit or 16
        kept = 110 if self.config.lora_dropout else 100
        trained = 1_000 * self.config.lora_rank + (2_000 if "8bit" in self.config.optim else 8_000)
        activations = (kept * (LAYERS - plan.recompute) + 10 * plan.recompute) * plan.row_tokens
        return Parts(1_000_000 * bits // 16, trained, activations, 0, 0)


def costing(config: TrainConfig) -> tuple[Recipe, Costs]:
    recipe = Recipe(
        kind="cuda",
        method=config.finetuning_type,
        base="bfloat16",
        bits=config.quantization_bit,
        double=config.double_quantization,
        autocast=None,
        trained="bfloat16" if config.pure_bf16 else "float32",
        rank=config.lora_rank,
        dropout=config.lora_dropout,
        dora=False,
        targets=("q_proj",),
        saved=(),
        trained_layers=0,
        state=8.0,
        packed=config.flash_attn == "auto",
        micro_batch=config.per_device_train_batch_size,
        attention="varlen" if config.flash_attn == "auto" else "eager",
        all_recompute=None
        if config.disable_gradient_checkpointing is None
        else not config.disable_gradient_checkpointing,
    )
    return recipe, Costs(config)


def case(
    free: int, data: DataShape = DATA, device: Device = GPU, cuts: dict[int, int] | None = None, **keys: Any
) -> Case:
    settings = {"lora_rank": 8, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, **QUIET, **keys}
    config = TrainConfig(model_name_or_path="m", dataset="d", output_dir="o", **settings)
    return Case(config, {}, data, device, LAYERS, free, costing, cuts or {}, margin=0.0)


def keys_of(found: Fit) -> list[set[str]]:
    return [set(change.settings) for change in found.changes]


LEAN = 1_000_000 + 16_000 + 1_024 * 1_000  # nothing recomputes: 1,024 tokens in a row


def test_a_job_that_fits_is_left_alone() -> None:
    found = fit(case(LEAN))
    assert found.fits
    assert found.changes == ()
    assert found.overrides == []


def test_an_exact_change_comes_first_and_alone() -> None:
    """A byte too few: letting layers recompute is enough, though a base in 4 bits would be, too."""
    short = case(LEAN - 1)
    ranked = changes(short)
    assert [change.exact for change in ranked] == sorted((change.exact for change in ranked), reverse=True)
    assert {"quantization_bit", "double_quantization"} in [set(change.settings) for change in ranked]
    found = fit(short, ranked)
    assert found.fits
    assert found.overrides == ["disable_gradient_checkpointing=null"]
    assert found.outcome.plan == StepPlan(1_024, 1, 1024)


def test_what_a_change_saves_and_costs_is_arithmetic() -> None:
    """All ten layers recompute at least: 90 bytes each of 1,024 tokens; half the weights are 500,000 bytes."""
    ranked = {tuple(change.settings): change for change in changes(case(LEAN - 1))}
    recompute = ranked[("disable_gradient_checkpointing",)]
    assert recompute.saves == 1_024 * 10 * 90
    # 3,200 tokens a step in 3.125 rows, each worth 256 tokens: one layer of ten again, against the smallest chunk.
    assert recompute.time == pytest.approx((3_200 * 2.1 + 800) / (3_200 * 2 * 1.02 + 800))
    assert ranked[("quantization_bit",)].saves == 500_000
    assert ranked[("quantization_bit", "double_quantization")].saves == 750_000
    assert ranked[("lora_rank",)].saves == 4_000
    assert all(change.fits for change in ranked.values())


def test_micro_batches_shrink_at_the_same_optimiser_step() -> None:
    """Padded: 4 × 2 samples a step become 2 × 4 and 1 × 8."""
    padded = {"flash_attn": "disabled", "disable_gradient_checkpointing": False}
    room = 1_000_000 + 16_000 + 2_048 * 100
    ranked = [change for change in changes(case(room, **padded)) if "per_device_train_batch_size" in change.settings]
    assert [tuple(change.settings.values()) for change in ranked] == [(2, 4), (1, 8)]
    assert all(change.exact for change in ranked)
    found = fit(case(room, **padded), ranked)
    assert found.settings == {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    odd = changes(case(room, **padded, per_device_train_batch_size=6))
    sizes = [tuple(c.settings.values()) for c in odd if "per_device_train_batch_size" in c.settings]
    assert sizes == [(3, 4), (1, 12)]


def test_packed_rows_are_an_exact_way_out_of_padding() -> None:
    found = fit(case(1_000_000 + 16_000 + 1_024 * 100, flash_attn="disabled", disable_gradient_checkpointing=None))
    assert keys_of(found) == [{"flash_attn"}]
    assert found.changes[0].exact


def test_an_approximate_change_comes_only_after_every_exact_one_and_what_is_not_needed_is_taken_back() -> None:
    """500,000 bytes for weights: the base in 8 bits, and recomputation as well."""
    room = 500_000 + 16_000 + 1_024 * 100
    found = fit(case(room))
    assert found.settings == {"disable_gradient_checkpointing": None, "quantization_bit": 8}


def test_approximate_changes_can_be_ruled_out() -> None:
    found = fit(case(500_000 + 16_000 + 1_024 * 100), approximate=False)
    assert not found.fits
    assert all(change.exact for change in found.changes)


def test_several_changes_add_up_and_the_closest_is_told_where_nothing_suffices() -> None:
    """Weights in 4 bits, 250,000; rank 4, 4,000 and 8,000; 128 tokens at 100 bytes."""
    least = 250_000 + 4_000 + 8_000 + 128 * 100
    found = fit(case(least))
    assert found.fits
    assert found.settings["cutoff_len"] == 128
    assert found.settings["quantization_bit"] == 4
    assert found.settings["lora_rank"] == 4
    hopeless = fit(case(least - 1))
    assert not hopeless.fits
    assert hopeless.outcome.least == least


def test_without_room_for_the_margin_the_closest_fit_is_offered_as_such() -> None:
    least = 250_000 + 4_000 + 8_000 + 128 * 100
    close = replace(case(least + 1), margin=0.1)
    ranked = changes(close)
    assert not fit(close, ranked).fits
    found = fit_closely(close, ranked)
    assert (found.fits, found.tight) == (True, True)
    assert not fit_closely(replace(case(2 * least), margin=0.1), ranked).tight
    assert not fit_closely(replace(close, free=least - 1), ranked).fits


def test_alpha_goes_with_the_rank() -> None:
    ranked = changes(case(LEAN - 1, lora_rank=16, lora_alpha=24))
    assert [c.settings for c in ranked if "lora_rank" in c.settings] == [
        {"lora_rank": 8, "lora_alpha": 12},
        {"lora_rank": 4, "lora_alpha": 6},
    ]


def test_shorter_samples_say_how_many_they_cut() -> None:
    ranked = changes(case(LEAN - 1, cuts={768: 7, 512: 40}))
    told = {c.settings["cutoff_len"]: c.effect.say() for c in ranked if "cutoff_len" in c.settings}
    assert told.keys() == {768, 512}
    assert told[768].startswith("7 of 100 samples are cut")
    unknown = changes(case(LEAN - 1, data=replace(DATA, counted=False)))
    assert {c.settings["cutoff_len"] for c in unknown if "cutoff_len" in c.settings} == {768, 512, 384, 256, 128}


@pytest.mark.parametrize(
    ("there", "gone"),
    [
        ({"device": Device("cpu", "a processor", 10**10, 10**10)}, {"quantization_bit", "pure_bf16", "optim", "bf16"}),
        ({"device": replace(GPU, capability=(7, 5)), "bf16": False, "pure_bf16": False}, {"bf16", "pure_bf16"}),
        ({"finetuning_type": "full"}, {"quantization_bit", "lora_rank"}),
        ({"pissa_init": True}, {"quantization_bit"}),
        ({"quantization_bit": 4}, {"quantization_bit"}),
        ({"adapter_name_or_path": "a"}, {"lora_rank"}),
    ],
)
def test_what_the_device_or_other_keys_rule_out_is_not_offered(there: dict[str, Any], gone: set[str]) -> None:
    offered = {
        key for change in changes(case(LEAN - 1, **{"optim": "adamw_torch_fused"} | there)) for key in change.settings
    }
    assert not offered & gone
    assert "cutoff_len" in offered


def test_without_bitsandbytes_nothing_is_quantised() -> None:
    bare = replace(case(LEAN - 1, optim="adamw_torch_fused"), quantisable=False)
    offered = {key for change in changes(bare) for key in change.settings}
    assert not offered & {"quantization_bit", "optim"}


def test_a_change_that_saves_nothing_is_no_change() -> None:
    """pure_bf16 of these costs moves nothing."""
    assert not [change for change in changes(case(LEAN - 1, pure_bf16=False)) if "pure_bf16" in change.settings]


def test_measuring_may_be_what_does_not_fit() -> None:
    """8 padded samples of 1,024 tokens are measured at a time, where 4 are trained on."""
    measured = replace(DATA, eval_longest=1_024)
    padded = {"flash_attn": "disabled", "disable_gradient_checkpointing": False, "per_device_train_batch_size": 4}
    room = 1_000_000 + 16_000 + 4_096 * 100
    tight = case(room, data=measured, **padded)
    assert look(tight).evaluation == 1_000_000 + 16_000 + 8_192 * 100
    assert not look(tight).fits
    found = fit(tight, [change for change in changes(tight) if "flash_attn" not in change.settings])
    assert found.fits
    assert keys_of(found) == [{"per_device_eval_batch_size"}]


def test_the_settings_are_read_back_as_they_were_meant() -> None:
    """They go through YAML on a command line."""
    found = fit(case(250_000 + 4_000 + 8_000 + 128 * 100))
    document, _ = with_overrides(
        Document("train.yaml", {"stage": "sft", "model_name_or_path": "m"}, {}), found.overrides
    )
    assert {name: document.values[name] for name in found.settings} == found.settings
