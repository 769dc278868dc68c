"""One step of the trainer under fake tensors: forward, head and loss, backward; and the optimiser's step."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from engine.memory.faking import Recorder, make_fake
from engine.memory.job import WIDTH, Recipe, StepPlan
from engine.memory.trace_model import Cut, build, peculiarities
from engine.memory.unroll import Event, Segment, Step, unroll
from engine.train.attention import Row, packed_rows


@dataclass(frozen=True)
class Traced:
    """What a step of the full model allocates.

    weights: bytes of each tensor that does not learn; trained: of each parameter, gradient and piece of optimiser state
    that is there throughout a step; row: events of a row's forward and backward; update: of the optimiser's step.
    layers: how many were traced; peculiar: what of the model its step may treat otherwise than the trace.
    """

    weights: list[int]
    trained: list[int]
    row: list[Step]
    update: list[Step]
    layers: int
    peculiar: list[str]


def trace(config_json: Mapping[str, Any], recipe: Recipe, plan: StepPlan) -> Traced:
    """A step in which gradients of an earlier row are there already, and the optimiser's state of an earlier step."""
    cut = build(config_json, recipe, plan.recompute)
    with FakeTensorMode(allow_non_fake_inputs=True):
        make_fake(cut.model)
        segments = _row(cut, recipe, plan)
    update, state = _update(cut.trained, recipe)
    sizes = [one.numel() * one.element_size() for one in cut.trained]
    row = unroll(segments, cut.stands)
    return Traced(cut.frozen, [*sizes, *sizes, *state], row, update, len(cut.layers), peculiarities(cut.model))


def _row(cut: Cut, recipe: Recipe, plan: StepPlan) -> list[Segment]:
    """Forward and backward of the largest row."""
    recorder = Recorder()
    for parameter in cut.model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)
            recorder.ignore([parameter.grad])
    inputs = packed_row(plan) if recipe.packed else padded_batch(recipe, plan)
    recorder.ignore((*cut.model.parameters(), *cut.model.buffers()))
    recorder.ignore(value for value in inputs.values() if isinstance(value, torch.Tensor))
    kept = _mark(cut.layers, recorder, torch.get_rng_state().nbytes if recipe.kind == "cpu" else 0)
    autocast = torch.autocast("cpu", dtype=getattr(torch, recipe.compute), enabled=recipe.autocast is not None)
    with packed_rows() if recipe.packed else contextlib.nullcontext(), recorder:
        with autocast:
            loss = cut.model(**inputs)["loss"]
            if recipe.packed:  # the trainer's, over the labelled tokens of the step
                loss = loss * torch.ones(())
        recorder.backward = True
        loss.backward()
        del loss
        recorder.enter("after")
        for goes in kept.values():
            goes()
    return recorder.segments


def packed_row(plan: StepPlan) -> dict[str, Any]:
    """What the packed forward takes: one sample that fills the row, a label wherever one can be."""
    ids = torch.zeros(1, plan.row_tokens, dtype=torch.long)
    keep = torch.arange(max(1, plan.row_tokens - 1))
    return {
        "input_ids": ids,
        "position_ids": torch.arange(plan.row_tokens)[None],
        "row": Row.of([plan.row_tokens], ids.device),
        "keep": keep,
        "targets": torch.zeros_like(keep),
        "chunk": plan.chunk,
    }


def padded_batch(recipe: Recipe, plan: StepPlan) -> dict[str, Any]:
    """What the model's own forward takes: samples of one width, with a mask."""
    ids = torch.zeros(recipe.micro_batch, -(-plan.row_tokens // recipe.micro_batch), dtype=torch.long)
    count = torch.ones((), dtype=torch.long)
    return {
        "input_ids": ids,
        "labels": ids.clone(),
        "attention_mask": torch.ones_like(ids),
        "num_items_in_batch": count,
    }


def _mark(layers: torch.nn.ModuleList, recorder: Recorder, random_state: int) -> dict[int, Callable[[], None]]:
    """Tell the recorder where the step is: a layer backward begins when the gradient of its output is complete.

    random_state: bytes of it, which a layer that recomputes keeps. What is kept to the end is returned: layer, release.
    """
    kept: dict[int, Callable[[], None]] = {}

    def begin(at: int) -> Any:
        def hook(*_: Any) -> None:
            if not recorder.backward:
                recorder.enter("forward", at)
                if random_state and getattr(layers[at], "gradient_checkpointing", False):
                    kept[at] = recorder.known(random_state)

        return hook

    def back(at: int) -> None:
        recorder.enter("backward", at)
        if at + 1 in kept:
            kept.pop(at + 1)()

    def end(at: int) -> Any:
        def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None:
            if recorder.backward:
                return
            hidden = output[0] if isinstance(output, tuple) else output
            if hidden.requires_grad:
                hidden.register_hook(lambda _: back(at))
            if at == len(layers) - 1:
                recorder.enter_next("head")  # the loop over the layers lets go of the last but one's output first

        return hook

    for at, layer in enumerate(layers):
        layer.register_forward_pre_hook(begin(at))
        layer.register_forward_hook(end(at))
    return kept


def _update(trained: list[torch.Tensor], recipe: Recipe) -> tuple[list[Step], list[int]]:
    """(events of the optimiser's second step, bytes of each piece of state that its first step made).

    AdamW is run, on one parameter of each size: on CUDA, where it works on all parameters at once (foreach), an event
    of it stands for those of all parameters of that size; on the processor it takes one parameter after the other. The
    fused one takes nothing in passing. Of any other optimiser only the size of its state is known.
    """
    if not traces_update(recipe) or (recipe.kind == "cuda" and not recipe.update):
        return [], [int(recipe.state * one.numel()) for one in trained]
    foreach = recipe.kind == "cuda"
    many = Counter(one.numel() for one in trained)
    parameters = [torch.nn.Parameter(torch.empty(size, dtype=trained[0].dtype, device="meta")) for size in many]
    for parameter in parameters:
        parameter.grad = torch.empty_like(parameter)
    optimiser = torch.optim.AdamW(parameters, foreach=foreach)
    optimiser.step()
    pieces = [piece for state in optimiser.state.values() for piece in state.values() if piece.is_meta]
    recorder = Recorder()
    recorder.ignore((*parameters, *(one.grad for one in parameters), *pieces))
    with recorder:
        optimiser.step()
    copies = {one.numel() * one.element_size(): many[one.numel()] for one in parameters} if foreach else {}
    state = [piece.numel() * piece.element_size() for piece in pieces for _ in range(many[piece.numel()])]
    return list(_copied(recorder.segments[0].events, copies)), state


def traces_update(recipe: Recipe) -> bool:
    """Whether the optimiser is AdamW by the size of its state: two moments in the parameters' own dtype."""
    return recipe.state == 2 * WIDTH[recipe.trained]


def _copied(events: list[Event], copies: dict[int, int]) -> Iterator[Step]:
    """Each event as often as `copies` says of its size, once by default."""
    made: dict[int, list[int]] = {}
    count = 0
    for storage, size in events:
        if size:
            made[storage] = list(range(count, count := count + copies.get(size, 1)))
        for name in made[storage]:
            yield Step(name, size, False)
