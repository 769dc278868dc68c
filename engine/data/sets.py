"""From a train config to samples: which sets there are, mixed and split as LLaMA-Factory does it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.config.schema import TrainConfig, names
from engine.data.conversation import Sample
from engine.data.formats import Tally, load_samples
from engine.data.mixing import mix
from engine.data.registry import DatasetEntry, load_registry
from engine.errors import ConfigError, DataError, Problem

EVAL = "eval"  # the one set to measure on, where there are not several by name


@dataclass
class Sets:
    """Samples to train on and those to measure on, by name; `tallies` say what became of the rows of each dataset."""

    train: list[Sample]
    evaluations: dict[str, list[Sample]] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)


def entries_of(config: TrainConfig) -> tuple[list[DatasetEntry], list[DatasetEntry]]:
    """The entries of `dataset` and of `eval_dataset`. Raises what the registry raises."""
    train, evaluation = names(config.dataset), names(config.eval_dataset)
    found = load_registry(Path(config.dataset_dir)).resolve([*train, *evaluation])
    return found[: len(train)], found[len(train) :]


def evaluation_names(config: TrainConfig) -> list[str]:
    """Names of the sets to measure on, as they stand in `Sets` and in the figures: `eval`, or those of the datasets."""
    if config.eval_dataset:
        return names(config.eval_dataset) if config.eval_on_each_dataset else [EVAL]
    return [EVAL] if config.val_size else []


def load_sets(config: TrainConfig) -> Sets:
    """All samples that `config` names. Raises DataError and ConfigError where they cannot be read, mixed or split."""
    train, evaluation = entries_of(config)
    sets = Sets([])
    draw = np.random.RandomState(config.seed)  # one for all sets, as LLaMA-Factory draws num_samples

    def load(entry: DatasetEntry) -> list[Sample]:
        samples, sets.tallies[entry.name] = load_samples(
            entry, config.max_samples, draw=draw, strict=config.strict_compat, cache_dir=config.cache_dir
        )
        return samples

    sets.train = _mixed(config, [load(entry) for entry in train])
    held = [load(entry) for entry in evaluation]
    if config.eval_on_each_dataset:
        sets.evaluations = {entry.name: samples for entry, samples in zip(evaluation, held, strict=True)}
    elif held:
        sets.evaluations = {EVAL: _mixed(config, held)}
    elif config.val_size:
        sets.train, sets.evaluations[EVAL] = split(sets.train, config.val_size, config.seed)
    return sets


def split(samples: list[Sample], val_size: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """(train, held back), as `datasets.train_test_split(test_size=val_size, seed=seed)` divides them."""
    count = int(val_size) if val_size >= 1 else int(np.ceil(val_size * len(samples)))
    if count >= len(samples):
        raise DataError(Problem("val_size_takes_all", {"val_size": val_size, "rows": len(samples)}, "val_size"))
    order = np.random.default_rng(seed).permutation(len(samples))
    return [samples[i] for i in order[count:]], [samples[i] for i in order[:count]]


def _mixed(config: TrainConfig, lists: list[list[Sample]]) -> list[Sample]:
    return mix(lists, config.mix_strategy, shares(config), config.seed) if lists else []


def shares(config: TrainConfig) -> list[float] | None:
    """interleave_probs as numbers. Raises ConfigError probs_not_numbers."""
    given = config.interleave_probs
    if given is None:
        return None
    parts = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else [given]
    try:
        return [float(part) for part in parts]
    except ValueError:
        raise ConfigError(Problem("probs_not_numbers", {"given": str(given)}, "interleave_probs")) from None
