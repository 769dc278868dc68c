"""The vocabulary of the memory estimates: what decides the need, what a step may choose, and the answer in parts.

Sizes are in bytes. Nothing here computes: recipe.py fills a `Recipe`, fast.py and traced.py make an `Estimate` of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from engine.text import Phrase

Level = Literal["fast", "traced", "measured"]
Dtype = Literal["float32", "bfloat16", "float16"]

WIDTH: dict[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}  # bytes of an element
EMBEDDINGS = ("embed_tokens", "wte", "embed_in", "word_embeddings")  # how architectures call theirs
CHUNK = 1024  # labelled positions whose logits exist at a time


@dataclass(frozen=True)
class DataShape:
    """What the data decide. Tokens after truncation; `longest` is that of a sample, or of a packed row.

    counted: the data were tokenised; otherwise `longest` is cutoff_len, which no sample can exceed, and the rest is 0.
    eval_longest: the same of the evaluation sets, 0 where there are none.
    """

    samples: int
    tokens: int
    labelled: int
    longest: int
    eval_longest: int = 0
    counted: bool = True


@dataclass(frozen=True)
class Device:
    """Where it runs, and the memory there that is free right now. `others`: what other processes hold of `total`.

    uuid: NVML's of a GPU, empty for the processor. capability: CUDA's compute capability, (0, 0) where unknown.
    """

    kind: Literal["cuda", "cpu"]
    name: str
    total: int
    free: int
    uuid: str = ""
    capability: tuple[int, int] = (0, 0)

    @property
    def others(self) -> int:
        """Bytes that are taken before we begin."""
        return max(0, self.total - self.free)


@dataclass(frozen=True)
class Recipe:
    """What of a train config moves memory, as the trainer will do it on a kind of device.

    base: dtype that the weights are loaded in; bits: 4 or 8 where bitsandbytes holds the linear layers; double: its
    quantisation constants are quantised too. autocast: dtype that is calculated in, None for that of the weights.
    trained: dtype of trained parameters and of their gradients. targets: last names of the linear layers with an
    adapter (lora), saved: last names of modules trained in full beside it. trained_layers: layers that learn wholly
    (freeze). state: bytes of optimiser state for each trained element; update: what the optimiser's step takes for each
    in passing. packed: rows without padding and the head at labels only; otherwise padded micro-batches of
    `micro_batch` samples with logits at every position.
    attention: varlen (CUDA), sdpa (one sample at a time), eager (a score for each pair of tokens is kept).
    """

    kind: Literal["cuda", "cpu"]
    method: Literal["lora", "freeze", "full"]
    base: Dtype
    bits: Literal[4, 8] | None
    double: bool
    autocast: Dtype | None
    trained: Dtype
    rank: int
    dropout: float
    dora: bool
    targets: tuple[str, ...]
    saved: tuple[str, ...]
    trained_layers: int
    state: float
    packed: bool
    micro_batch: int
    attention: Literal["varlen", "sdpa", "eager"]
    update: float = 0.0
    all_recompute: bool | None = None  # the config insists on all layers or on none; None: chosen from memory

    @property
    def compute(self) -> Dtype:
        """The dtype of activations."""
        return self.autocast or self.base

    @property
    def trains_embedding(self) -> bool:
        """Whether the embedding learns."""
        return self.method == "full" or any(name in EMBEDDINGS for name in self.saved)

    @property
    def trains_head(self) -> bool:
        """Whether the output head learns, in full or through an adapter."""
        return self.method == "full" or "lm_head" in (*self.saved, *self.targets)

    @property
    def between(self) -> Dtype:
        """The dtype of the hidden states between layers: what the embedding gives."""
        return self.trained if self.trains_embedding else self.base


@dataclass(frozen=True)
class StepPlan:
    """What a step chooses; every choice is exact. row_tokens: tokens of the largest micro-batch, padding included.

    recompute: how many layers are computed again in backward instead of keeping their activations; chunk: labelled
    positions whose logits exist at a time.
    """

    row_tokens: int
    recompute: int = 0
    chunk: int = CHUNK


@dataclass(frozen=True)
class Parts:
    """Where the memory goes at the peak. trained: trained parameters, gradients and optimiser state.

    reserve: what the allocator holds beyond what is in use, and the CUDA context.
    """

    weights: int
    trained: int
    activations: int
    head: int
    reserve: int

    @property
    def allocated(self) -> int:
        """The peak of tensors."""
        return self.weights + self.trained + self.activations + self.head

    @property
    def total(self) -> int:
        """What the device must have free."""
        return self.allocated + self.reserve


@dataclass(frozen=True)
class Estimate:
    """An answer. error: relative, of `parts.allocated`; factor: what this machine's measurements multiplied it by.

    notes: what it rests on, for a person (a fallback, a term with a known size only, data that are not counted yet).
    """

    level: Level
    parts: Parts
    plan: StepPlan
    error: float
    factor: float = 1.0
    notes: tuple[Phrase, ...] = ()

    @property
    def needed(self) -> int:
        """Bytes that must be free, without a margin."""
        return self.parts.total

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "level": self.level,
            "needed": self.needed,
            "allocated": self.parts.allocated,
            "parts": asdict(self.parts),
            "plan": asdict(self.plan),
            "error": self.error,
            "factor": self.factor,
            "notes": [note.say() for note in self.notes],
        }
