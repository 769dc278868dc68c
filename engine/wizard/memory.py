"""Whether the job that the answers make fits: what it needs in parts, the preset to begin with, and what makes it fit.

The fast estimate of engine.memory, in the wizard's own process: it moves while a person moves. The rows are not
tokenised yet, so every sample is taken to be as long as cutoff_len allows, which is the most there can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.config.rules import wants_rows
from engine.config.schema import TrainConfig, fields
from engine.errors import Problem
from engine.hardware import GIB
from engine.hardware.processor import FAST_BF16
from engine.memory.calibration import factor
from engine.memory.case import Case
from engine.memory.fast import costs_of
from engine.memory.fitting import Fit, changes, fit_closely
from engine.memory.job import DataShape, Device, Estimate, Recipe
from engine.memory.places import device_of
from engine.memory.planning import Costs
from engine.memory.presets import Preset, Recommendation, presets, recommend
from engine.memory.recipe import recipe_of
from engine.memory.recommended import recommended_models
from engine.memory.settling import Settled, Verdict, settle
from engine.memory.shape import ModelShape
from engine.memory.starting import job_fits
from engine.project import train_values
from engine.samples import sample
from engine.text import Phrase, listed
from engine.wizard.device import machine_of, pinned
from engine.wizard.table import table

if TYPE_CHECKING:
    from engine.wizard.session import Machine, Wizard

SUGGESTED = 3  # smaller models
_NOT_COUNTED = DataShape(0, 0, 0, 0, counted=False)


@dataclass(frozen=True)
class Part:
    """A part of the need. `id` is one of weights, trained, activations, head, reserve, measuring; size in bytes."""

    id: str
    name: Phrase
    size: int


@dataclass(frozen=True)
class Need:
    """What a job needs of a device. evaluation: bytes of measuring, where that is more than training.

    layers: of the model. cutoff: tokens of the longest sample that there may be.
    """

    device: Device
    estimate: Estimate
    evaluation: int
    verdict: Verdict
    layers: int
    cutoff: int

    @property
    def needed(self) -> int:
        """Bytes that must be free."""
        return max(self.estimate.needed, self.evaluation)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Where they go; together they are `needed`."""
        parts, gpu = self.estimate.parts, self.device.kind == "cuda"
        found = (
            Part("weights", Phrase("weights"), parts.weights),
            Part("trained", Phrase("what learns"), parts.trained),
            Part("activations", Phrase("activations"), parts.activations),
            Part("head", Phrase("loss head"), parts.head),
            Part("reserve", Phrase("CUDA, reserve") if gpu else Phrase("process, libraries"), parts.reserve),
            Part("measuring", Phrase("measuring"), self.needed - parts.total),
        )
        return tuple(part for part in found if part.size)

    @property
    def verdict_line(self) -> Phrase:
        """Whether it fits, with the figures."""
        free = self.device.free
        values = {"needed": gigabytes(self.needed), "free": gigabytes(free)}
        if self.verdict == "no":
            return Phrase("Memory: does not fit, needs {needed} GB, {free} GB are free.", values)
        if self.verdict == "tight":
            values["error"] = f"{100 * self.estimate.error:.0f}"
            return Phrase("Memory: tight, needs {needed} of {free} GB free, ± {error} %.", values)
        values["spare"] = f"{100 * (free - self.needed) / free:.0f}"
        return Phrase("Memory: fits, needs {needed} of {free} GB free, {spare} % to spare.", values)

    @property
    def basis(self) -> tuple[Phrase, ...]:
        """What the figure rests on."""
        reckoned = Phrase("Reckoned for samples as long as cutoff_len = {cutoff} allows.", {"cutoff": self.cutoff})
        return (reckoned, *self.estimate.notes)


@dataclass(frozen=True)
class Unknown:
    """Why there is no figure; problems: of the model's config.json."""

    reason: Phrase
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Remedy:
    """What `make_fit` did, in lines. done: whether it changed something.

    before, after: {question: answer} of what it changed; a question without an answer is not in `before`.
    """

    done: bool
    lines: tuple[Phrase, ...]
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)

    def stands(self, wizard: Wizard) -> bool:
        """Whether all that it changed is still so."""
        missing = object()
        return self.done and all(wizard.answers.get(name, missing) == value for name, value in self.after.items())

    def undo(self, wizard: Wizard) -> None:
        """The answers of before."""
        for name in self.after:
            wizard.reset(name)
        for name, value in self.before.items():
            wizard.answer(name, value)


@dataclass(frozen=True)
class _Job:
    """All that the need follows from. `key` tells one from another."""

    shape: ModelShape
    machine: Machine
    values: dict[str, Any]
    key: tuple[object, ...]


def need(wizard: Wizard) -> Need | Unknown:
    """Of the job as it is answered now."""
    job = _job(wizard, wizard.preset())
    return job if isinstance(job, Unknown) else _need(wizard, job)


def recommended(wizard: Wizard) -> Recommendation:
    """The preset to begin with: by model, settings and free memory as far as they are known."""
    machine = machine_of(wizard)
    assert machine is not None
    shape, best, choice = wizard.shape(), machine.hardware.best(), presets()
    if shape is None or best is None:
        return recommend(machine.hardware, choice=choice)
    answers = wizard.project(replace=False)
    given = {**(sample(answers.sample).settings if answers.sample else {}), **answers.settings}
    key = ("recommended", pinned(wizard), wizard.model(), repr(sorted(given.items())), repr(choice))
    if key not in wizard.reckoned:
        device = device_of(None, machine.hardware, machine.host)[0]
        found = recommend(machine.hardware, job_fits(shape, _NOT_COUNTED, device, given), choice)
        wizard.reckoned[key] = found
        if found.fits is False:
            job = _job(wizard, found.preset)
            if not isinstance(job, Unknown) and _need(wizard, job).verdict != "no":
                reason = Phrase("{free}: the job may only just fit", {"free": found.reason.values["free"]})
                wizard.reckoned[key] = Recommendation(found.preset, reason, fits=False)
    kept: Recommendation = wizard.reckoned[key]
    return kept


def make_fit(wizard: Wizard) -> Remedy:
    """Answer the settings with the fewest changes after which the job fits, exact ones first.

    The preset becomes an answer too: what would be recommended for the changed settings is another job.
    """
    job = _job(wizard, wizard.preset())
    if isinstance(job, Unknown) or _need(wizard, job).verdict != "no":
        return Remedy(False, ())
    found = ways(wizard)
    if not found.fits:
        return Remedy(False, (_too_large(wizard, job, found),))
    after = {"preset": wizard.preset().name, **{f"train.{name}": value for name, value in found.settings.items()}}
    before = {name: wizard.answers[name] for name in after if name in wizard.answers}
    for name, value in after.items():
        wizard.answer(name, value)
    lines = tuple(Phrase("Changed. {how}", {"how": how}) for how in titles(found))
    return Remedy(True, lines, before, {name: wizard.answers[name] for name in after})


def ways(wizard: Wizard) -> Fit:
    """The fewest changes that suffice, of keys that the wizard asks for; all of them where they do not."""
    job = _job(wizard, wizard.preset())
    assert not isinstance(job, Unknown)
    case = _settled(job)[0].case
    ranked = [change for change in changes(case) if all(f"train.{name}" in table() for name in change.settings)]
    return fit_closely(case, ranked)


def titles(found: Fit) -> tuple[Phrase, ...]:
    """The changes in lines: those that leave the result the same, and those that do not."""
    exact = [change.title for change in found.changes if change.exact]
    others = [change.title for change in found.changes if not change.exact]
    lines = []
    if exact:
        lines.append(Phrase("Exact, the same result: {changes}.", {"changes": listed(exact)}))
    if others:
        lines.append(Phrase("Approximate, another result: {changes}.", {"changes": listed(others)}))
    return tuple(lines)


def _too_large(wizard: Wizard, job: _Job, found: Fit) -> Phrase:
    device, _config = _place(job)
    smaller = [
        one.name
        for one in recommended_models(device.free, wizard.language, device.kind)
        if one.parameters < job.shape.parameters
    ][:SUGGESTED]
    told = {"needed": gigabytes(found.outcome.least), "free": gigabytes(device.free), "models": ", ".join(smaller)}
    if smaller:
        return Phrase(
            "No change of the settings suffices: at least {needed} GB are needed. Smaller models: {models}.", told
        )
    return Phrase("No change of the settings suffices: at least {needed} GB are needed, {free} GB are free.", told)


def _job(wizard: Wizard, preset: Preset) -> _Job | Unknown:
    machine = machine_of(wizard)
    if machine is None:
        return Unknown(Phrase("What this needs is not known: the machine has not been looked at."))
    found = wizard.found("model")
    if found is None:
        return Unknown(Phrase("What this needs is not known: the model has not been looked at."))
    shape = wizard.shape()
    if shape is None:
        reason = Phrase("What this model needs is not known: its config.json does not say.")
        return Unknown(reason, tuple(map(Problem.from_dict, found.get("unknown", ()))))
    values = train_values(wizard.project(replace=False), preset)
    return _Job(shape, machine, values, (pinned(wizard), wizard.model(), repr(sorted(values.items()))))


def _need(wizard: Wizard, job: _Job) -> Need:
    key = ("need", job.key)
    if key not in wizard.reckoned:
        settled, config = _settled(job)
        device = settled.case.device
        wizard.reckoned[key] = Need(
            device, settled.estimate, settled.evaluation, settled.verdict, len(job.shape.layers), config.cutoff_len
        )
    kept: Need = wizard.reckoned[key]
    return kept


def _place(job: _Job) -> tuple[Device, TrainConfig]:
    config = TrainConfig(**{name: value for name, value in job.values.items() if name in fields(TrainConfig)})
    return device_of(config, job.machine.hardware, job.machine.host)[0], config


def _settled(job: _Job) -> tuple[Settled, TrainConfig]:
    device, config = _place(job)
    passed = {name: value for name, value in job.values.items() if name not in fields(TrainConfig)}

    def fast_bf16() -> bool:
        return not set(FAST_BF16).isdisjoint(job.machine.host.features)

    def recipe(config: TrainConfig) -> Recipe:
        return recipe_of(config, passed, job.shape, device, fast_bf16=fast_bf16)

    def costing(config: TrainConfig) -> tuple[Recipe, Costs]:
        found = recipe(config)
        return found, costs_of(job.shape, found)

    measured = config.cutoff_len if wants_rows(config) else 0
    case = Case(
        config,
        passed,
        DataShape(0, 0, 0, config.cutoff_len, measured, counted=False),
        device,
        len(job.shape.layers),
        device.free,
        costing,
        quantisable=job.machine.quantisable,
        factor=factor(device, recipe(config)),
    )
    return settle(case, job.shape, {}, trace=None), config


def gigabytes(size: int) -> str:
    """Bytes in GiB, which cards are sold by."""
    return f"{size / GIB:.1f}" if size >= 10 * GIB else f"{size / GIB:.2f}"
