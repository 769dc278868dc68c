"""What a run stands on: the memory that is free right now, what its step will take, and the plan chosen from both."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from engine.config.schema import TrainConfig
from engine.data.prepare import Prepared
from engine.errors import EnvironmentProblem, Problem, ProblemError
from engine.hardware import GIB, host
from engine.memory import calibration
from engine.memory.allocator import CONTEXT, PROCESS
from engine.memory.calibration import Calibrated
from engine.memory.families import FAMILIES
from engine.memory.fast import StepCosts, costs_of
from engine.memory.job import DataShape, Device, Parts, Recipe, StepPlan
from engine.memory.planning import choose_plan, leanest_plan
from engine.memory.recipe import recipe_of
from engine.memory.shape import read_shape
from engine.text import Phrase, verbatim
from engine.train.methods import base_of
from engine.train.recompute import layers_of

Tell = Callable[[Problem], None]


@dataclass(frozen=True)
class Footing:
    """plan: of the step. layers: that can recompute, at least 1; may_recompute: their number is left to us.

    device: its `free` are the bytes that the job may take, what it has already included. recipe, costs: None where
    nothing could be estimated. state: bytes of optimiser state to come. factor: of this machine's measurements.
    """

    plan: StepPlan
    layers: int
    may_recompute: bool
    device: Device
    recipe: Recipe | None = None
    costs: StepCosts | None = None
    state: int = 0
    factor: float = 1.0

    def predict(self, plan: StepPlan) -> Parts | None:
        """Where the memory goes in a step with this plan; None where that is not known."""
        return Calibrated(self.costs, self.factor).parts(plan) if self.costs else None

    def predict_row(self, plan: StepPlan) -> Parts | None:
        """The same of forward and backward alone, without the optimiser's step."""
        return Calibrated(replace(self.costs, update=0), self.factor).parts(plan) if self.costs else None

    def learn(self, predicted: int, measured: int) -> None:
        """Remember what activations and head took beside what was predicted of them here."""
        if self.recipe:
            calibration.record(self.device, self.recipe, round(predicted / self.factor), measured)

    def figures(self) -> dict[str, Any]:
        """For the `step` event."""
        predicted = self.predict(self.plan)
        return {
            "budget": self.plan.row_tokens,
            "recompute": self.plan.recompute,
            "layers": self.layers,
            "chunk": self.plan.chunk,
            "predicted": asdict(predicted) if predicted else None,
            "factor": round(self.factor, 4),
            "free": self.device.free,
        }


def find_footing(
    config: TrainConfig,
    passed: Mapping[str, Any],
    path: Path,
    model: torch.nn.Module,
    prepared: Prepared,
    packed: bool,
    tell: Tell,
    *,
    device: Device | None = None,
    factor: Callable[[Device, Recipe], float] = calibration.factor,
) -> Footing:
    """The fastest plan that fits into the memory that is free now (`device`, asked here where it is not given).

    On a processor no row is longer than the YAML's micro-batch could be. Where no estimate can be made the plan is that
    micro-batch, with every layer recomputing on a GPU. Where no plan fits it is the smallest one, with a warning.
    Raises EnvironmentProblem memory_too_small where the weights and what the optimiser keeps alone do not fit a GPU.
    """
    data, depth = data_shape(prepared), len(layers_of(model))
    insisted = config.disable_gradient_checkpointing
    device = device or device_now(model)
    all_recompute = device.kind == "cuda" if insisted is None else not insisted
    usual = StepPlan(config.per_device_train_batch_size * data.longest, (depth or 1) if all_recompute else 0)
    standing = Footing(usual, depth or 1, insisted is None, device)
    try:
        costs, recipe = _costs(config, passed, path, model, device, packed)
    except ProblemError as error:
        for problem in error.problems:
            tell(replace(problem, severity="note"))
        return standing
    state, known = _state(model, recipe), factor(device, recipe)
    standing = replace(standing, recipe=recipe, costs=costs, state=state, factor=known)
    calibrated = Calibrated(costs, known)
    plan = choose_plan(
        calibrated,
        recipe,
        data,
        batch=config.per_device_train_batch_size,
        accumulation=config.gradient_accumulation_steps,
        layers=depth,
        free=device.free,
    )
    if plan is not None:
        return replace(standing, plan=plan)
    least = leanest_plan(calibrated, recipe, data, layers=depth)
    parts = calibrated.parts(least)
    params = {"needed": _gib(parts.total), "free": _gib(device.free), "device": device.name}
    alone = parts.weights + parts.trained
    if device.kind == "cuda" and alone > device.free:
        raise EnvironmentProblem(Problem("memory_too_small", {**params, "alone": _gib(alone)}))
    tell(Problem("memory_tight", params, severity="warning"))
    return replace(standing, plan=least)


def data_shape(prepared: Prepared) -> DataShape:
    """The rows as they will be trained on and measured on."""
    rows = prepared.train
    measured = max((encoded.longest for encoded in prepared.evaluations.values()), default=0)
    return DataShape(len(rows), len(rows.input_ids), rows.report.labelled_tokens, rows.longest, measured)


def device_now(model: torch.nn.Module) -> Device:
    """Where the model is, and the memory there that its job may take: what is free, and what it has already.

    On a GPU that is our allocator's own and our CUDA context, by its assumed size; on a processor the model and what
    the libraries take. All of it is part of what a job needs.
    """
    where = next(model.parameters()).device
    if where.type != "cuda":
        here = host()
        free = here.free + PROCESS + sum(_bytes(model))
        return Device("cpu", here.cpu, here.memory, min(here.memory, free))
    free, total = torch.cuda.mem_get_info(where)
    about = torch.cuda.get_device_properties(where)
    free += torch.cuda.memory_reserved(where) + CONTEXT
    return Device("cuda", about.name, total, min(total, free), str(about.uuid), (about.major, about.minor))


def _costs(
    config: TrainConfig, passed: Mapping[str, Any], path: Path, model: torch.nn.Module, device: Device, packed: bool
) -> tuple[StepCosts, Recipe]:
    """What a step takes: what stays by the model in memory, the rest by its config.json. Raises ProblemError."""
    base = base_of(model)
    kind = base.config.get_text_config().model_type
    if not type(base).__module__.startswith("transformers."):
        reason = Phrase("it brings code of its own")
        raise ProblemError(Problem("memory_unknown", {"model_type": kind, "reason": reason}))
    if kind not in FAMILIES or not layers_of(model):
        reason = Phrase("its layers are not among those that are known")
        raise ProblemError(Problem("memory_unknown", {"model_type": kind, "reason": reason}))
    try:
        shape = read_shape(path)
        recipe = recipe_of(config, passed, shape, device, packed=packed)
        frozen, trained = _bytes(model)
        learning = 2 * trained + _state(model, recipe)  # with a gradient for each
        return replace(costs_of(shape, recipe), weights=frozen, trained=learning), recipe
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        reason = verbatim(f"{type(error).__name__}: {error}")
        raise ProblemError(Problem("memory_unknown", {"model_type": kind, "reason": reason})) from error


def _state(model: torch.nn.Module, recipe: Recipe) -> int:
    """Bytes that the optimiser will keep."""
    return round(recipe.state * sum(p.numel() for p in model.parameters() if p.requires_grad))


def _bytes(model: torch.nn.Module) -> tuple[int, int]:
    """(what does not learn, what does), before the first step. On a GPU by its allocator: the constants of quantised

    weights are in no list of parameters.
    """
    where = next(model.parameters()).device
    trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    if where.type == "cuda":
        return torch.cuda.memory_allocated(where) - trained, trained
    return sum(tensor.nbytes for tensor in itertools.chain(model.parameters(), model.buffers())) - trained, trained


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}"
