"""Every tensor of the merged model and how it comes about, decided before the first byte is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from engine.errors import Problem
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


@dataclass
class Plan:
    """`slots` in the base's order. Every slot is filled by exactly one of streams, units and replaced."""

    skeleton: Skeleton
    names: NameMap
    slots: list[Slot] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    replaced: dict[str, torch.Tensor] = field(default_factory=dict)
    carried: dict[str, torch.Tensor] = field(default_factory=dict)  # base weights to take from the adapter instead
    untied: bool = False
    source: dict[str, str] = field(default_factory=dict)  # {parameter without a tensor of its own: whose it shares}
    notes: list[Problem] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """Number of output tensors that the adapter has a say in."""
        of_units = sum(len(self.output_names(p)) for unit in self.units for p in unit.parameters.values())
        return of_units + len(self.replaced) + sum(stream.layer is not None for stream in self.streams)

    def output_names(self, parameter: str) -> list[str]:
        """Checkpoint names that a parameter is written under."""
        return self.names.keys.get(parameter) or [parameter]

    def base_tensor(self, base: Checkpoint, parameter: str) -> torch.Tensor:
        """The base's tensor for a parameter, its own or the one it shares."""
        return self.names.read(base, parameter if parameter in self.names.keys else self.source[parameter])


def make_plan(base: Checkpoint, skeleton: Skeleton, dtype: str | None) -> Plan:
    """Plan the merge; `dtype` is the safetensors type that floating-point tensors are written in, None keeps theirs.

    Raises NotStreamableError when a parameter that the adapter touches cannot be followed to the checkpoint.
    """
    names = map_names(skeleton.model, base.tensors, skeleton.shapes)
    plan = Plan(
        skeleton, names, replaced={names.keys[n][0]: t for n, t in skeleton.replaced.items() if n in names.keys}
    )
    added = _untie(plan)
    for parameter, tensor in skeleton.carried.items():
        if not torch.equal(plan.base_tensor(base, parameter).float(), tensor.float()):
            plan.carried[parameter] = tensor
    for stored in base.tensors.values():
        plan.slots.append(Slot(stored.name, _target(stored.dtype, dtype), stored.shape))
    for parameter in added:
        stored = base.tensors[names.keys[plan.source[parameter]][0]]
        plan.slots.append(Slot(parameter, _target(stored.dtype, dtype), stored.shape))
        grown = round(plan.slots[-1].nbytes / 1e6, 1)
        plan.notes.append(Problem("merge_untied", {"grown_mb": grown}, severity="note"))
    touched: dict[str, dict[str, str]] = {}
    for parameter in [*names.keys, *added]:
        owner = skeleton.owner(parameter)
        sources = names.keys.get(parameter)
        if sources and sources[0] in plan.replaced:
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
    return plan


def _target(stored: str, wanted: str | None) -> str:
    return wanted if wanted and stored in FLOATS else stored


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
