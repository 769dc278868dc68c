"""Bytes of optimiser state for each trained element, by the names that transformers gives optimisers."""

from __future__ import annotations

from engine.config.schema import TrainConfig
from engine.memory.job import WIDTH
from engine.memory.shape import ModelShape

_BLOCK = 256  # elements that share a constant (fp32) in bitsandbytes' and torchao's 8-bit states
_EIGHT = 1 + 4 / _BLOCK
# How many states of the size of the parameter there are, by a part of the name; the first that occurs counts. What is
# not listed (AdamW in its many makes, stable_adamw, schedule_free, galore and apollo at their largest) has two.
_STATES = (
    ("ademamix", 3),
    ("grokadamw", 3),
    ("schedule_free_sgd", 1),
    ("lion", 1),
    ("lomo", 0),
    ("sgd", 0),
    ("rmsprop", 1),
    ("adagrad", 1),
)


def state_bytes(config: TrainConfig, trained: str, shape: ModelShape) -> float:
    """Of one trained element, on average.

    torch's own optimisers keep state in the dtype of the parameter, bitsandbytes' in fp32 or 8 bits (pages that
    it may move to the host's memory count as if they stayed). Adafactor keeps a row and a column: 1/rank of a LoRA
    matrix, next to nothing of a large one. Muon keeps one momentum for matrices inside the layers, AdamW's two beside.
    """
    name, width = config.optim, WIDTH[trained]
    if config.use_muon:
        if config.finetuning_type == "lora":
            return float(width)
        matrices = sum(linear.weights for layer in shape.layers for linear in layer.linears)
        return width * (2 - matrices / max(1, shape.parameters))
    if name == "adafactor":
        return width / config.lora_rank if config.finetuning_type == "lora" else 0.01
    count = next((states for part, states in _STATES if part in name), 2)
    if "8bit" in name:
        return count * _EIGHT
    if "4bit" in name:
        return count * (0.5 + 4 / 128)
    if any(part in name for part in ("bnb", "paged", "lion", "ademamix")):
        return 4.0 * count
    return float(width * count)


def update_bytes(config: TrainConfig, trained: str, kind: str) -> float:
    """What the optimiser's step takes in passing, of one trained element.

    torch's AdamW goes over all parameters at once on a GPU unless it is fused: the square root of the second moment,
    as large as all that is trained. The others work in place or one parameter at a time.
    """
    return float(WIDTH[trained]) if kind == "cuda" and config.optim == "adamw_torch" and not config.use_muon else 0.0
