"""Every tensor of the merged model and how it comes about, decided before the first byte is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from engine.errors import ConfigError, Problem
from engine.merge.base import Base
from engine.merge.names import NameMap, NotStreamableError, map_names
from engine.merge.safetensors_io import FLOATS, Checkpoint, Slot
from engine.merge.skeleton import Skeleton, is_plain_linear, same_change


@dataclass(frozen=True)
class Stream:
    """Output tensor `name` from base tensor `source`: as it is, or plus a plain LoRA `layer`'s change."""

    name: str
    source: str
    layer: Any = None


@dataclass(frozen=True)
class Unit:
    """A wrapped module that peft merges. `parameters`: {name inside the module: name in the base model}."""

    name: str
    layer: Any
    parameters: dict[str, str]


@dataclass(kw_only=True)
class Copies:
    """What a model is written from: `slots` in the base's order, `streams` that fill them."""

    slots: list[Slot] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    untied: bool = False
    notes: list[Problem] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """Number of output tensors that an adapter has a say in."""
        return sum(stream.layer is not None for stream in self.streams)


@dataclass(kw_only=True)
class Plan(Copies):
    """Every slot is filled by exactly one of streams, units and replaced."""

    skeleton: Skeleton
    names: NameMap
    units: list[Unit] = field(default_factory=list)
    replaced: dict[str, torch.Tensor] = field(default_factory=dict)
    carried: dict[str, torch.Tensor] = field(default_factory=dict)  # base weights to take from the adapter instead
    source: dict[str, str] = field(default_factory=dict)  # {parameter without a tensor of its own: whose it shares}

    @property
    def changed(self) -> int:
        """Number of output tensors that the adapter has a say in."""
        of_units = sum(len(self.output_names(p)) for unit in self.units for p in unit.parameters.values())
        return of_units + len(self.replaced) + super().changed

    def output_names(self, parameter: str) -> list[str]:
        """Checkpoint names that a parameter is written under."""
        return self.names.keys.get(parameter) or [parameter]

    def base_tensor(self, base: Checkpoint, parameter: str) -> torch.Tensor:
        """The base's tensor for a parameter, its own or the one it shares."""
        return self.names.read(base, parameter if parameter in self.names.keys else self.source[parameter])


def plan_copies(base: Checkpoint, dtype: str | None) -> Copies:
    """Plan to write a model as it is; `dtype` as for `make_plan`."""
    slots = [Slot(stored.name, _target(base, stored.name, dtype), stored.shape) for stored in base.tensors.values()]
    return Copies(slots=slots, streams=[Stream(slot.name, slot.name) for slot in slots])


def make_plan(base: Base, skeleton: Skeleton, dtype: str | None) -> Plan:
    """Plan the merge; `dtype` is the safetensors type that floating-point tensors are written in, None keeps theirs.

    Raises NotStreamableError when a parameter that the adapter touches cannot be followed to the checkpoint,
    ConfigError `merge_vocabulary_lost` when rows of a grown vocabulary are not in the adapter.
    """
    names = map_names(skeleton.model, base.tensors, skeleton.shapes)
    replaced = {names.keys[n][0]: tensor for n, tensor in skeleton.replaced.items() if n in names.keys}
    plan = Plan(skeleton=skeleton, names=names, replaced=replaced)
    added = _untie(plan)
    for parameter, tensor in skeleton.carried.items():
        if not torch.equal(plan.base_tensor(base, parameter).float(), tensor.float()):
            plan.carried[parameter] = tensor
    for stored in base.tensors.values():
        plan.slots.append(Slot(stored.name, _target(base, stored.name, dtype), stored.shape))
    for parameter in added:
        stored = base.tensors[names.keys[plan.source[parameter]][0]]
        if parameter in skeleton.replaced:
            replaced[parameter] = skeleton.replaced[parameter]
        plan.slots.append(Slot(parameter, _target(base, stored.name, dtype), stored.shape))
        grown = round(plan.slots[-1].nbytes / 1e6, 1)
        plan.notes.append(Problem("merge_untied", {"grown_mb": grown}, severity="note"))
    touched: dict[str, dict[str, str]] = {}
    for parameter in [*names.keys, *added]:
        owner = skeleton.owner(parameter)
        sources = names.keys.get(parameter)
        if (sources[0] if sources else parameter) in plan.replaced:
            continue
        if owner is None:
            plan.streams += [Stream(key, key) for key in sources or []]
            if not sources:
                plan.streams.append(Stream(parameter, names.keys[plan.source[parameter]][0]))
            continue
        layer, inner = skeleton.units[owner], parameter.removeprefix(f"{owner}.")
        if is_plain_linear(layer) and parameter not in names.fused and parameter not in plan.carried:
            key = sources[0] if sources else names.keys[plan.source[parameter]][0]
            out = key if sources else parameter
            plan.streams.append(Stream(out, key, layer if inner == "weight" else None))
        else:
            touched.setdefault(owner, {})[inner] = parameter
    plan.units = [Unit(owner, skeleton.units[owner], inner) for owner, inner in touched.items()]
    _require_all(plan)
    _require_rows(base, plan)
    return plan


def _target(base: Checkpoint, name: str, wanted: str | None) -> str:
    return wanted if wanted and base.tensors[name].dtype in FLOATS else base.kept_dtype(name)


def _untie(plan: Plan) -> list[str]:
    """Find tied pairs that the adapter parts, and return the parameters that need a tensor of their own now."""
    skeleton, keys = plan.skeleton, plan.names.keys
    added = []
    for tied, source in skeleton.tied.items():
        for missing, present in ((tied, source), (source, tied)):
            if missing not in keys and present in keys:
                plan.source[missing] = present
        owners = [skeleton.owner(tied), skeleton.owner(source)]
        if owners == [None, None]:
            continue
        first, second = owners
        if first and second:
            if same_change(skeleton.units[first], skeleton.units[second]):
                continue
            config = skeleton.peft_model.peft_config["default"]
            if getattr(config, "ensure_weight_tying", False):
                plan.notes.append(Problem("merge_tied_adapters_differ", severity="warning"))
        plan.untied = True
        added += [name for name in (tied, source) if name in plan.source]
    return added


def _require_all(plan: Plan) -> None:
    """Every parameter of a wrapped module must have a tensor, or share one."""
    for parameter in plan.skeleton.shapes:
        owner = plan.skeleton.owner(parameter)
        if owner is not None and parameter not in plan.names.keys and parameter not in plan.source:
            raise NotStreamableError(parameter)


def _require_rows(base: Base, plan: Plan) -> None:
    """Rows of added tokens are zeros in `base`: whatever is written from them must come from the adapter instead."""
    lost = {stream.source for stream in plan.streams} & base.grown
    for unit in plan.units:
        if not hasattr(unit.layer, "modules_to_save"):
            parameters = [p for p in unit.parameters.values() if p not in plan.carried]
            lost |= {plan.names.keys[p if p in plan.names.keys else plan.source[p]][0] for p in parameters} & base.grown
    if lost:
        params = {"tensor": min(lost), "rows": base.vocabulary}
        raise ConfigError(Problem("merge_vocabulary_lost", params, key="model_name_or_path"))
