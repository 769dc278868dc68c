"""Will it fit? From a config file to the memory, time and disk of its job, and what would make it fit.

The one entry of `estimate`, --dry-run, --fit and the wizard. What cannot be found out is a problem beside the rest.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.config.finding import locate
from engine.config.jobs import Job, load_job
from engine.config.schema import TrainConfig
from engine.data.templates import load_template
from engine.errors import ConfigError, Problem, ProblemError
from engine.hardware import Hardware, Host, host, probe
from engine.memory.calibration import factor as measured_factor
from engine.memory.case import Case
from engine.memory.fast import costs_of, trained_parameters
from engine.memory.fitting import Fit, changes, fit, fit_closely
from engine.memory.gathering import FoundData, FoundModel, assumed, count_data, find_base, of_count
from engine.memory.job import WIDTH, DataShape, Device, Estimate, Recipe
from engine.memory.merging import MergeNeed, merge_need
from engine.memory.outlook import Outlook, measured_rate, outlook
from engine.memory.places import device_of
from engine.memory.planning import Costs
from engine.memory.recipe import recipe_of
from engine.memory.recommended import recommended_models
from engine.memory.remedies import Change
from engine.memory.settling import Trace, Verdict, settle
from engine.memory.traced import traced_estimate
from engine.models import log_in
from engine.runs.events import Event
from engine.text import Phrase

SUGGESTED = 3  # smaller models
AIMED = Phrase("for a GPU the ± is an aim until a run here has measured a step, which it does before its first")


@dataclass(frozen=True)
class Forecast:
    """What a job will come to. Members are None where it does not train or merge, or where that is not known.

    others: the other GPUs. needed, evaluation: bytes at the peak of training and, where that is higher, of measuring.
    verdict: fits; tight, which is within the error of the figure; or no. fit: the fewest changes that suffice, or the
    most that can be done; smaller: models to take where that is not enough. prefix: of keys on the command line.
    problems: what is not known or was assumed. case: what the figures were reckoned for; None where there are none.
    """

    file: str
    device: Device
    others: tuple[Device, ...] = ()
    model: str = ""
    data: DataShape | None = None
    recipe: Recipe | None = None
    estimate: Estimate | None = None
    evaluation: int = 0
    verdict: Verdict | None = None
    layers: int = 0
    outlook: Outlook | None = None
    merge: MergeNeed | None = None
    changes: tuple[Change, ...] = ()
    fit: Fit | None = None
    smaller: tuple[str, ...] = ()
    prefix: str = ""
    problems: tuple[Problem, ...] = ()
    config: TrainConfig | None = None
    case: Case | None = None

    @property
    def needed(self) -> int:
        """Bytes that must be free on the device."""
        return max(self.estimate.needed, self.evaluation) if self.estimate else 0

    @property
    def fits(self) -> bool:
        """Whether nothing that is known stands in the way."""
        return self.verdict != "no" and not (self.merge and self.merge.verdict == "no")

    def overrides(self, settings: Sequence[str]) -> list[str]:
        """`key=value` of changes, as this file takes them."""
        return [f"{self.prefix}{setting}" for setting in settings]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "verdict": self.verdict,
            "fits": self.fits,
            "needed": self.needed or None,
            "free": self.device.free,
            "device": asdict(self.device),
            "others": [asdict(other) for other in self.others],
            "model": self.model,
            "data": asdict(self.data) if self.data else None,
            "recipe": asdict(self.recipe) if self.recipe else None,
            "estimate": self.estimate.as_dict() if self.estimate else None,
            "evaluation": self.evaluation or None,
            "merge": self.merge.as_dict() if self.merge else None,
            "outlook": self.outlook.as_dict() if self.outlook else None,
            "changes": [change.as_dict() for change in self.changes],
            "fit": _fit_dict(self.fit) if self.fit else None,
            "smaller": list(self.smaller),
            "problems": [problem.as_dict() for problem in self.problems],
        }


@dataclass(frozen=True)
class Machine:
    """Where the job is to run, and what is known of that place. imagined: nothing here is measured or installed for it.

    trace, factor: `traced_estimate` and calibration's `factor`, or what stands for them.
    """

    hardware: Hardware
    host: Host
    imagined: bool = False
    trace: Trace | None = traced_estimate
    factor: Callable[[Device, Recipe], float] = measured_factor
    installed: Callable[[str], bool] = field(default=lambda name: importlib.util.find_spec(name) is not None)

    @classmethod
    def here(cls, *, trace: bool = True) -> Machine:
        """This one, as it is right now."""
        return cls(probe(), host(), trace=traced_estimate if trace else None)

    @classmethod
    def with_gpu(cls, hardware: Hardware, *, trace: bool = True) -> Machine:
        """One with other GPUs: what --gpu-memory imagines (`presets.imagined`)."""
        return cls(
            hardware,
            host(),
            imagined=True,
            trace=traced_estimate if trace else None,
            factor=lambda device, recipe: 1.0,
            installed=lambda name: True,
        )


def forecast(
    file: Path,
    overrides: Sequence[str] = (),
    *,
    machine: Machine | None = None,
    count: bool = True,
    listen: Callable[[Event], None] = lambda event: None,
    cwd: Path | None = None,
) -> Forecast:
    """Of a train config, a merge config, a project or the folder of one. count: tokenise the data for their lengths.

    Raises ConfigError where there is no such job.
    """
    whole = (file / "config.yaml").is_file()
    job = load_job(locate(file, "project" if whole else "train"), overrides, cwd)
    if job.train is None and job.merge is None:
        raise ConfigError(Problem("check_needs_training", file=str(file)))
    log_in(job.secrets)
    return forecast_job(job, machine or Machine.here(), count=count, listen=listen)


def forecast_job(
    job: Job,
    machine: Machine,
    *,
    count: bool = True,
    counted: Mapping[str, Any] | None = None,
    listen: Callable[[Event], None] = lambda event: None,
) -> Forecast:
    """Of a job that was loaded. counted: what `engine.data.count` answered of it before. Raises nothing of its own."""
    config = job.train.config if job.train else None
    device, others = device_of(config, machine.hardware, machine.host)
    found = Forecast(str(job.file), device, others, prefix="train." if job.kind == "project" else "")
    if machine.imagined and config and config.use_cpu:
        change = f"{found.prefix}use_cpu=false"
        note = Problem("gpu_memory_unused", {"change": change}, "use_cpu", str(job.file), severity="note")
        found = replace(found, problems=(note,))
    trained = 0
    if job.train and config and config.do_train:
        base = find_base(config)
        found = replace(
            found, config=config, model=config.model_name_or_path, problems=(*found.problems, *base.problems)
        )
        data = _data(job, base, count, counted, listen)
        found = replace(found, data=data.shape, problems=(*found.problems, *data.problems))
        if base.shape is not None:
            listen({"type": "phase", "name": "estimating"})
            found, trained = _training(found, job, base, data, machine)
    elif job.train:
        note = Problem("nothing_trained", key="do_train", file=str(job.file), severity="note")
        found = replace(found, problems=(note,))
    if job.merge:
        need, problems = merge_need(job, trained, machine.host)
        found = replace(found, merge=need, problems=(*found.problems, *problems))
    return found


def _data(
    job: Job, base: FoundModel, count: bool, counted: Mapping[str, Any] | None, listen: Callable[[Event], None]
) -> FoundData:
    assert job.train is not None
    if counted is not None:
        return of_count(counted)
    if base.shape is None:
        return assumed(job.train.config, Phrase("without the model they cannot be tokenised"))
    if not count:
        return assumed(job.train.config, Phrase("--no-data"))
    try:
        load_template(job.train.config.template)
    except ProblemError as error:
        given = assumed(job.train.config, Phrase("the data cannot be read"))
        return replace(given, problems=(*error.problems, *given.problems))
    return count_data(job, base.folder, listen=listen)


def _training(found: Forecast, job: Job, base: FoundModel, data: FoundData, machine: Machine) -> tuple[Forecast, int]:
    """The forecast with what training needs, and how many parameters it trains."""
    assert job.train is not None and base.shape is not None and base.config is not None
    config, passed, shape, device = job.train.config, job.train.passed, base.shape, found.device

    recipe = recipe_of(config, passed, shape, device)
    trained = trained_parameters(shape, recipe)

    def costing(config: TrainConfig) -> tuple[Recipe, Costs]:
        recipe = recipe_of(config, passed, shape, device)
        return recipe, costs_of(shape, recipe)

    quantisable = machine.installed("bitsandbytes")
    case = Case(
        config,
        passed,
        data.shape,
        device,
        len(shape.layers),
        device.free,
        costing,
        data.cuts,
        quantisable=quantisable,
        factor=machine.factor(device, recipe),
    )
    settled = settle(case, shape, base.config, trace=machine.trace)
    found = replace(
        found,
        recipe=recipe,
        estimate=_with_aim(settled.estimate, case),
        evaluation=settled.evaluation,
        verdict=settled.verdict,
        case=settled.case,
        layers=len(shape.layers),
        outlook=_outlook(job, base, data, recipe, trained),
        problems=(*found.problems, *settled.problems),
    )
    if not trained:
        params = {"targets": list(recipe.targets) or config.lora_target}
        told = Problem("nothing_learns", params, "lora_target", str(job.file), severity="warning")
        found = replace(found, problems=(*found.problems, told))
    if settled.verdict == "fits":
        return found, trained
    ranked = tuple(changes(settled.case))
    case = settled.case
    enough = fit_closely(case, ranked) if settled.verdict == "no" else fit(case, ranked, approximate=False)
    smaller = () if enough.fits else _smaller(shape.parameters, device)
    return replace(found, changes=ranked, fit=enough, smaller=smaller), trained


def _with_aim(estimate: Estimate, case: Case) -> Estimate:
    """Says that the error stated for a GPU is an aim, as long as no run has measured one here."""
    aimed = case.device.kind == "cuda" and case.factor == 1.0
    return replace(estimate, notes=(*estimate.notes, AIMED)) if aimed else estimate


def _smaller(parameters: int, device: Device) -> tuple[str, ...]:
    """Names of recommended models that are smaller and train comfortably there, best first."""
    found = recommended_models(device.free, "en", device.kind)
    return tuple(one.name for one in found if one.parameters < parameters)[:SUGGESTED]


def _outlook(job: Job, base: FoundModel, data: FoundData, recipe: Recipe, elements: int) -> Outlook | None:
    """Steps, disk and time of the run; None where the rows were not counted."""
    if not data.shape.samples or job.train is None or base.shape is None:
        return None
    trained = elements * WIDTH[recipe.trained]
    whole = base.shape.parameters * WIDTH[recipe.base]
    rate = measured_rate(job.runs, base.folder.name, recipe.kind) if base.folder else None
    return outlook(
        job.train.config,
        data.shape.samples,
        data.shape.tokens,
        trained=trained,
        saved=trained if recipe.method == "lora" else whole,
        rate=rate,
    )


def _fit_dict(found: Fit) -> dict[str, Any]:
    """As JSON: the fewest changes, or all where they do not suffice."""
    return {
        "suffices": found.fits,
        "tight": found.tight,
        "exact": all(change.exact for change in found.changes),
        "settings": found.settings,
        "needed": found.outcome.needed,
        "changes": [change.as_dict() for change in found.changes],
    }
