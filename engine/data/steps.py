"""How many optimiser steps a run makes of its samples."""

from __future__ import annotations

import math

from engine.config.schema import TrainConfig


def steps_per_epoch(samples: int, config: TrainConfig) -> int:
    """Optimiser steps of one pass, as transformers' Trainer counts them."""
    return max(
        1, math.ceil(math.ceil(samples / config.per_device_train_batch_size) / config.gradient_accumulation_steps)
    )


def total_steps(samples: int, config: TrainConfig) -> int:
    """Optimiser steps of the whole run."""
    if config.max_steps > 0:
        return config.max_steps
    return math.ceil(steps_per_epoch(samples, config) * config.num_train_epochs)
