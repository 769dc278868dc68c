"""Recommended models: which of templates/models.yaml to begin with, by the free memory and the language."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

from engine.builtin_model import is_builtin
from engine.config.reading import parse_document
from engine.hardware import GIB
from engine.memory.shape import ModelShape, shape_of
from engine.text import parameter_words

Language = Literal["en", "zh"]

# Up to how many parameters two models count as being of a size: between sizes the larger is the better one to tune,
# within a size the order of the file decides, which is newest first.
_SIZES = (0.2e9, 0.8e9, 2.2e9, 5e9, 10e9, 20e9, 45e9)
_MARGIN = 0.3  # of the weights: adapter, its gradients and optimiser state, activations
_FIXED = 3 * GIB // 2  # CUDA context, the allocator's reserve, the head's chunk of logits
_CPU_LARGEST = 2_000_000_000  # parameters: beyond, nobody waits for a processor


@dataclass(frozen=True)
class RecommendedModel:
    """A model of the hub, as templates/models.yaml describes it. Nothing of it has to be on this machine.

    template: LLaMA-Factory's name of its chat template. licence: the hub's tag. gated: it takes a login and consent.
    context: tokens. languages: the strongest first. parameters: all; active: those that a token passes through, 0 for
    all of them. bytes: its weight files. config: the part of config.json that the memory of training follows from.
    """

    name: str
    family: str
    template: str
    licence: str
    gated: bool
    context: int
    languages: tuple[str, ...]
    parameters: int
    bytes: int
    config: Mapping[str, Any]
    active: int = 0

    @property
    def size(self) -> str:
        """Parameters in a person's words: 135M, 7.6B."""
        return parameter_words(self.parameters)

    def shape(self) -> ModelShape:
        """Its sizes for an estimate before anything is downloaded."""
        found = shape_of(self.config, self.name)
        return replace(found, stored=self.bytes, unseen=self.parameters - found.parameters)

    def comfortable(self, kind: Literal["cuda", "cpu"] = "cuda") -> int:
        """Bytes that should be free for LoRA on it: the weights (2 bytes each, on a CPU 4), 30 % more, and 1.5 GiB.

        A rule for choosing a model before there are data; what a job needs is engine.memory's estimate.
        """
        weights = self.parameters * (4 if kind == "cpu" else 2)
        return int(weights * (1 + _MARGIN)) + _FIXED


@cache
def all_models() -> tuple[RecommendedModel, ...]:
    """Every model of templates/models.yaml, in its order."""
    text = (files("templates") / "models.yaml").read_text(encoding="utf-8")
    return tuple(msgspec.convert(parse_document(text, "models.yaml").values["models"], list[RecommendedModel]))


def known_model(name: str) -> RecommendedModel | None:
    """A recommended model by what a config calls it, the built-in one by its short name too; None for any other."""
    return next((one for one in all_models() if one.name == name or (is_builtin(name) and is_builtin(one.name))), None)


def recommended_models(free: int, language: Language, kind: Literal["cuda", "cpu"]) -> list[RecommendedModel]:
    """Models that train comfortably, best first. Never empty: the built-in one is there whatever is free.

    On a GPU the largest size first; within a size the file's order, those that ask for a login last. On a CPU, where
    time is short before memory is, the built-in model first, then from small to large. For Chinese the models whose
    first language it is come before all others, then those that know it. The very first asks for no login and is no
    mixture of experts, which has few layers that LoRA reaches.

    free: bytes on the GPU, or of main memory.
    """
    fitting = [one for one in all_models() if one.comfortable(kind) <= free or is_builtin(one.name)]
    if kind == "cpu":
        fitting = [one for one in fitting if one.parameters <= _CPU_LARGEST]

    def place(one: RecommendedModel) -> tuple[bool, int, int, bool, bool]:
        size = bisect_left(_SIZES, one.parameters)
        built_in = kind == "cpu" and is_builtin(one.name)
        return not built_in, _foreign(one, language), size if kind == "cpu" else -size, bool(one.active), one.gated

    ordered = sorted(fitting, key=place)
    first = next(one for one in ordered if not one.gated and not one.active)
    return [first, *(one for one in ordered if one is not first)]


def _foreign(model: RecommendedModel, language: Language) -> int:
    """How far a model is from a language."""
    if language == "zh" and model.languages[0] == "zh":
        return 0
    return 1 if language in model.languages else 2
