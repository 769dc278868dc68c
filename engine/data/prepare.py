"""From a train config to token ids: registry, rows, conversations, split, template, tokens; cached by content.

Runs in workers: transformers is imported inside.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.config.schema import TrainConfig, names
from engine.data import token_cache
from engine.data.chat_template import chat_template_for
from engine.data.conversation import Sample
from engine.data.encode import Encoder
from engine.data.encoded import Encoded, check_encoded
from engine.data.formats import Tally, load_samples
from engine.data.registry import DatasetEntry, load_registry
from engine.data.templates import Template, load_template, prepare_tokenizer, stop_token_ids
from engine.errors import DataError, Problem
from engine.fingerprints import file_sha256
from engine.storage import cache_folder

FORMAT = 1  # of cached tokens: raise it when the same input gives other tokens


@dataclass
class Prepared:
    """Everything that training needs of the data. `evaluation` is None without val_size."""

    tokenizer: Any
    template: Template | None
    stop_ids: list[int]
    train: Encoded
    evaluation: Encoded | None
    rows: dict[str, Tally] = field(default_factory=dict)
    notes: list[Problem] = field(default_factory=list)
    from_cache: bool = False


def data_files(config: TrainConfig) -> dict[str, str]:
    """{file: sha256} of every data file, and of how dataset_info.json says to read each set.

    Raises what the registry raises.
    """
    entries = load_registry(Path(config.dataset_dir)).resolve(names(config.dataset))
    files = [file for entry in entries for file in entry.files]
    hashes = {str(file): file_sha256(file) for file in dict.fromkeys(files)}
    for entry in entries:
        how = token_cache.cache_key({"how": [entry.formatting, asdict(entry.columns), asdict(entry.tags)]})
        hashes[f"{entry.file}#{entry.name}"] = how
    return hashes


def prepare(
    config: TrainConfig,
    model: Path,
    *,
    hashes: dict[str, str],
    progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> Prepared:
    """Tokenise what `config` names, or take it from the cache. Raises ConfigError and DataError before any training."""
    if config.preprocessing_num_workers:  # read by the Rust tokenizer when its threads start
        os.environ["RAYON_NUM_THREADS"] = str(config.preprocessing_num_workers)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=config.trust_remote_code, local_files_only=True)
    template = load_template(config.template)
    notes = prepare_tokenizer(tokenizer, template)
    entries = load_registry(Path(config.dataset_dir)).resolve(names(config.dataset))
    key = _key(config, model, tokenizer, entries, hashes)
    folder = cache_folder("tokens")
    prepared = Prepared(tokenizer, template, stop_token_ids(tokenizer, template), None, None, notes=notes)  # type: ignore[arg-type]
    train = None if config.overwrite_cache else token_cache.load(folder, key + "-train")
    evaluation = token_cache.load(folder, key + "-eval") if config.val_size else None
    if train is not None and (evaluation is not None) == bool(config.val_size):
        prepared.train, prepared.evaluation, prepared.from_cache = train, evaluation, True
    else:
        samples, prepared.rows = _samples(entries, config.max_samples)
        rest, held = split(samples, config.val_size, config.seed)
        encoder = Encoder(tokenizer, template, config.cutoff_len)
        prepared.train = encoder.encode_all(rest, progress, should_stop)
        # Kept with the tokens, so that a cached run tells of them too.
        known = [warning for tally in prepared.rows.values() for warning in row_warnings(tally)]
        prepared.train.report.problems[:0] = known
        token_cache.store(folder, key + "-train", prepared.train)
        if held:
            prepared.evaluation = encoder.encode_all(held, None, should_stop)
            token_cache.store(folder, key + "-eval", prepared.evaluation)
    check_encoded(prepared.train)
    prepared.notes += prepared.train.report.warnings()
    own = chat_template_for(tokenizer, template)
    if own is not None:  # what is saved must render what was trained
        tokenizer.chat_template = own
    return prepared


def split(samples: list[Sample], val_size: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """(train, held back), as `datasets.train_test_split(test_size=val_size, seed=seed)` divides them."""
    if not val_size:
        return samples, []
    count = int(val_size) if val_size >= 1 else int(np.ceil(val_size * len(samples)))
    if count >= len(samples):
        raise DataError(Problem("val_size_takes_all", {"val_size": val_size, "rows": len(samples)}, "val_size"))
    order = np.random.default_rng(seed).permutation(len(samples))
    return [samples[i] for i in order[count:]], [samples[i] for i in order[:count]]


def row_warnings(tally: Tally) -> list[Problem]:
    """What a person should know of a dataset's rows: how many were dropped and why, the first of them, notes."""
    if not tally.dropped:
        return list(tally.notes)
    params = {"name": tally.name, "dropped": sum(tally.dropped.values()), "read": tally.read}
    return [Problem("rows_dropped", params, severity="warning"), *tally.first, *tally.notes]


def _samples(entries: list[DatasetEntry], max_samples: int | None) -> tuple[list[Sample], dict[str, Tally]]:
    samples: list[Sample] = []
    tallies = {}
    for entry in entries:
        found, tallies[entry.name] = load_samples(entry, max_samples)
        samples += found
    return samples, tallies


def _key(config: TrainConfig, model: Path, tokenizer: Any, entries: list[DatasetEntry], hashes: dict[str, str]) -> str:
    files = sorted(
        path for path in model.iterdir() if path.name.startswith(("tokenizer", "chat_template", "vocab", "merges"))
    )
    return token_cache.cache_key(
        {
            "format": FORMAT,
            "tokenizer": {file.name: file_sha256(file) for file in files if file.is_file()},
            "chat_template": tokenizer.chat_template,
            "template": config.template,
            "cutoff_len": config.cutoff_len,
            "max_samples": config.max_samples,
            "val_size": config.val_size,
            "seed": config.seed if config.val_size else None,
            "data": [
                [
                    entry.name,
                    entry.formatting,
                    asdict(entry.columns),
                    asdict(entry.tags),
                    [hashes.get(str(file)) or file_sha256(file) for file in entry.files],
                ]
                for entry in entries
            ],
        }
    )
