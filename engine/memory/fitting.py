"""What would make a job fit: ranked changes of a train config, exact ones first, and the fewest that suffice.

A change writes LLaMA-Factory's own keys. What the plan of a step chooses by itself (tokens in a row, layers that
recompute, the head's chunk) is no change: it is tried with every one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from engine.config.rules import train_rules
from engine.config.schema import TrainConfig
from engine.data.count import cutoffs
from engine.memory.job import DataShape, Device, Parts, Recipe, StepPlan
from engine.memory.planning import MARGIN, Costs, choose_plan, leanest_plan, step_time, step_tokens
from engine.text import Phrase

LEAST_RANK = 4
AMPERE = (8, 0)

Costing = Callable[[TrainConfig], tuple[Recipe, Costs]]


@dataclass(frozen=True)
class Case:
    """A job whose settings may change. layers: of the model. free: bytes that it may need, by the measure of `costing`.

    passed: keys of the config that go to TrainingArguments. cuts: how many samples each shorter limit would cut, empty
    where nothing was counted. quantisable: whether bitsandbytes can be used there.
    """

    config: TrainConfig
    passed: Mapping[str, Any]
    data: DataShape
    device: Device
    layers: int
    free: int
    costing: Costing
    cuts: Mapping[int, int] = field(default_factory=dict)
    quantisable: bool = True
    margin: float = MARGIN

    def with_(self, settings: Mapping[str, Any]) -> Case:
        """The same job with other settings; a lower cutoff_len shortens the samples."""
        cutoff = settings.get("cutoff_len", self.config.cutoff_len)
        data = replace(
            self.data,
            tokens=min(self.data.tokens, self.data.samples * cutoff),
            longest=min(self.data.longest, cutoff),
            eval_longest=min(self.data.eval_longest, cutoff),
        )
        return replace(self, config=msgspec.structs.replace(self.config, **settings), data=data)


@dataclass(frozen=True)
class Outcome:
    """What a job comes to: the plan that fits, or the leanest one. least: bytes that the leanest one needs.

    evaluation: bytes that measuring needs at most, 0 where that is less than training needs. time: of an optimiser
    step, in `planning.step_time`'s unit.
    """

    recipe: Recipe
    plan: StepPlan
    parts: Parts
    fits: bool
    least: int
    evaluation: int
    time: float

    @property
    def needed(self) -> int:
        """Bytes at the highest peak of the plan."""
        return max(self.parts.total, self.evaluation)


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
        return [f"{name}={_yaml(value)}" for name, value in self.settings.items()]

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


@dataclass(frozen=True)
class Fit:
    """The fewest changes after which the job fits; where nothing suffices, all of them, and fits is False."""

    changes: tuple[Change, ...]
    outcome: Outcome

    @property
    def fits(self) -> bool:
        """Whether it does."""
        return self.outcome.fits

    @property
    def settings(self) -> dict[str, Any]:
        """Of all changes; a later one wins."""
        return {name: value for change in self.changes for name, value in change.settings.items()}

    @property
    def overrides(self) -> list[str]:
        """As `key=value`."""
        return [f"{name}={_yaml(value)}" for name, value in self.settings.items()]


def look(case: Case) -> Outcome:
    """The fastest plan of a job that fits, or its leanest."""
    recipe, costs = case.costing(case.config)
    batch, steps = case.config.per_device_train_batch_size, case.config.gradient_accumulation_steps
    chosen = choose_plan(
        costs,
        recipe,
        case.data,
        batch=batch,
        accumulation=steps,
        layers=case.layers,
        free=case.free,
        margin=case.margin,
    )
    leanest = leanest_plan(costs, recipe, case.data, layers=case.layers)
    plan = chosen or leanest
    measuring = _evaluation(case, recipe, costs, plan)
    fits = chosen is not None and measuring * (1 + case.margin) <= case.free
    time = step_time(plan, recipe, case.layers, step_tokens(case.data, batch, steps))
    least = max(costs.parts(leanest).total, measuring)
    return Outcome(recipe, plan, costs.parts(plan), fits, least, measuring, time)


def changes(case: Case) -> list[Change]:
    """What saves anything, by rank: exact before approximate, the mildest first. Only what the rules between keys and

    the device allow.
    """
    before = look(case)
    known = {finding.code for finding in train_rules(case.config, dict(case.passed))}
    found = []
    for change in (*_exact(case, before), *_approximate(case, before)):
        after_case = case.with_(change.settings)
        findings = train_rules(after_case.config, dict(case.passed))
        if any(finding.severity == "error" and finding.code not in known for finding in findings):
            continue
        after = look(after_case)
        saves = before.least - after.least
        if saves > 0:
            found.append(replace(change, saves=saves, time=after.time / before.time, fits=after.fits))
    return found


def fit(case: Case, ranked: Sequence[Change] | None = None, *, approximate: bool = True) -> Fit:
    """The fewest changes that suffice, tried in this order: one exact change, several, all of them and one approximate,

    several; then each that turns out not to be needed is taken back, approximate ones first. No change where the job
    fits as it is. ranked: what `changes` gave, where that is known.
    """
    before = look(case)
    if before.fits:
        return Fit((), before)
    offered = changes(case) if ranked is None else ranked
    exact = [change for change in offered if change.exact]
    others = [change for change in offered if not change.exact] if approximate else []
    attempts = [
        *((change,) for change in exact),
        *(tuple(exact[:count]) for count in range(2, len(exact) + 1)),
        *((*exact, change) for change in others),
        *((*exact, *others[:count]) for count in range(2, len(others) + 1)),
    ]
    for attempt in attempts:
        tried = _together(case, attempt)
        if tried.fits:
            return _pruned(case, tried)
    return _together(case, (*exact, *others))


def _together(case: Case, chosen: Sequence[Change]) -> Fit:
    made = Fit(tuple(chosen), look(case))
    return replace(made, outcome=look(case.with_(made.settings)))


def _pruned(case: Case, found: Fit) -> Fit:
    """Without the changes that are not needed, or whose keys a later one sets anew."""
    for change in sorted(found.changes, key=lambda change: change.exact):
        fewer = _together(case, [kept for kept in found.changes if kept is not change])
        if fewer.fits:
            found = fewer
    return found


def _evaluation(case: Case, recipe: Recipe, costs: Costs, plan: StepPlan) -> int:
    """Bytes that measuring needs at most: rows without kept activations, taken for rows that recompute all layers.

    0 where its rows are no longer than those trained on.
    """
    if not case.data.eval_longest:
        return 0
    tokens = case.data.eval_longest * (1 if recipe.packed else case.config.per_device_eval_batch_size)
    if tokens <= plan.row_tokens:
        return 0
    return costs.parts(replace(plan, row_tokens=tokens, recompute=case.layers)).total


def _exact(case: Case, before: Outcome) -> Iterator[Change]:
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
        yield Change(
            Phrase("{batch} samples at a time, {steps} times a step", {"batch": batch, "steps": steps}),
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


def _approximate(case: Case, before: Outcome) -> Iterator[Change]:
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
        yield Change(
            Phrase("What is trained is kept in bfloat16 too"),
            {"pure_bf16": True},
            False,
            Phrase("small steps of the weights are rounded away"),
        )
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
            Phrase("one guard against overfitting less"),
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
        title = Phrase("At most {cutoff} tokens of a sample", {"cutoff": cutoff})
        yield Change(title, {"cutoff_len": cutoff}, False, effect)


def _yaml(value: Any) -> str:
    """A setting as YAML writes it in a line."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
