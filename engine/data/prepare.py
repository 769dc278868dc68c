"""From a train config to token ids: registry, rows, conversations, split, template, tokens; cached by content.

Runs in workers: transformers is imported inside.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from engine.config.schema import TrainConfig, names
from engine.data import token_cache
from engine.data.chat_template import chat_template_for
from engine.data.collector import collector_paused
from engine.data.encode import Encoder
from engine.data.encoded import Encoded, EncodeReport, Prompts
from engine.data.entries import DatasetEntry
from engine.data.formats import Tally
from engine.data.hub import HUB, hub_state
from engine.data.options import EncodeOptions
from engine.data.sets import entries_of, evaluation_names, load_sets, shares
from engine.data.templates import (
    Template,
    load_template,
    prepare_tokenizer,
    read_new_special_tokens,
    stop_token_ids,
    template_sha256,
)
from engine.data.tokenized import TRAIN, is_tokenized, load_tokenized, tokenized_hashes
from engine.data.tokenized import Sets as TokenSets
from engine.errors import Problem
from engine.fingerprints import file_sha256
from engine.storage import cache_folder

FORMAT = 2  # of cached tokens: raise it when the same input gives other tokens


@dataclass
class Prepared:
    """Everything that training needs of the data; `train` has no rows where `dataset` names none.

    `evaluations` are the sets to measure on by name (`eval` where there is one); with predict_with_generate they are
    in `prompts` instead.
    """

    tokenizer: Any
    template: Template | None
    stop_ids: list[int]
    train: Encoded
    evaluations: dict[str, Encoded] = field(default_factory=dict)
    prompts: dict[str, Prompts] = field(default_factory=dict)
    rows: dict[str, Tally] = field(default_factory=dict)
    notes: list[Problem] = field(default_factory=list)
    from_cache: bool = False
    own_chat_template: str | None = None  # the model's, before that of a named template takes its place

    @property
    def held_back(self) -> int:
        """Rows to measure on, of all sets."""
        return sum(len(tokens) for name, tokens in self.sets.items() if name != TRAIN)

    @property
    def sets(self) -> TokenSets:
        """`train` and the sets to measure on, by name."""
        return {TRAIN: self.train, **self.evaluations, **self.prompts}


def data_files(config: TrainConfig) -> dict[str, str]:
    """{file: sha256} of every data file, and of how dataset_info.json says to read each set.

    Raises what the registry raises, EnvironmentProblem where a hub is out of reach. With tokenised data in
    tokenized_path, what was recorded there.
    """
    if is_tokenized(config):
        return tokenized_hashes(config)
    train, evaluation = entries_of(config)
    files = [file for entry in (*train, *evaluation) for file in entry.files]
    hashes = {str(file): file_sha256(file) for file in dict.fromkeys(files)}
    for entry in (*train, *evaluation):
        hashes[f"{entry.file}#{entry.name}"] = token_cache.cache_key({"how": entry.meaning()})
        if entry.hub:
            hashes[f"{HUB}{entry.hub.name}"] = hub_state(entry.hub)
    return hashes


def prepare(
    config: TrainConfig,
    model: Path,
    *,
    hashes: dict[str, str],
    progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
    force: bool = False,
) -> Prepared:
    """Tokenise what `config` names, or take it from the cache. Raises ConfigError and DataError before any training.

    Whether it is fit to be trained on is for engine.data.gate to say. `force`: a template may add tokens to the
    tokenizer though the model does not grow.
    """
    if config.preprocessing_num_workers:  # read by the Rust tokenizer when its threads start
        os.environ["RAYON_NUM_THREADS"] = str(config.preprocessing_num_workers)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=config.trust_remote_code, local_files_only=True)
    template = load_template(config.template, default_system=config.default_system, tool_format=config.tool_format)
    described = config.new_special_tokens_config
    notes = prepare_tokenizer(
        tokenizer,
        template,
        resize_vocab=config.resize_vocab or force,
        add_tokens=names(config.add_tokens),
        # As in LLaMA-Factory, the file comes before the list.
        add_special_tokens=list(read_new_special_tokens(Path(described)))
        if described
        else names(config.add_special_tokens),
    )
    rows: dict[str, Tally] = {}
    key = None if is_tokenized(config) else _key(config, model, tokenizer, template, hashes)
    if key is None:
        sets, found = load_tokenized(config, len(tokenizer))
        notes += found
    elif from_cache := None if config.overwrite_cache else _cached(config, key):
        sets = from_cache
    else:
        encoder = Encoder(tokenizer, template, EncodeOptions.of(config))
        sets, rows = _encode(config, encoder, progress, should_stop)
        for name, tokens in sets.items():
            token_cache.store(cache_folder("tokens"), f"{key}-{name}", tokens)
    train = sets.get(TRAIN) or _NOTHING
    assert isinstance(train, Encoded)
    prepared = Prepared(tokenizer, template, stop_token_ids(tokenizer, template), train, rows=rows, notes=notes)
    prepared.from_cache = not rows
    held = {name: tokens for name, tokens in sets.items() if name != TRAIN}
    prepared.evaluations = {name: tokens for name, tokens in held.items() if isinstance(tokens, Encoded)}
    prepared.prompts = {name: tokens for name, tokens in held.items() if isinstance(tokens, Prompts)}
    prepared.notes += prepared.train.report.warnings()
    prepared.own_chat_template = tokenizer.chat_template
    own = chat_template_for(tokenizer, template, EncodeOptions.of(config))
    if own is not None:  # what is saved must render what was trained
        tokenizer.chat_template = own
    return prepared


def row_warnings(tally: Tally) -> list[Problem]:
    """What a person should know of a dataset's rows: how many were dropped and why, the first of them, notes."""
    if not tally.dropped:
        return list(tally.notes)
    params = {"name": tally.name, "dropped": sum(tally.dropped.values()), "read": tally.read}
    return [Problem("rows_dropped", params, severity="warning"), *tally.first, *tally.notes]


_NOTHING = Encoded(np.empty(0, np.int32), np.empty(0, np.int32), np.zeros(1, np.int64), EncodeReport(0))


def _encode(
    config: TrainConfig, encoder: Encoder, progress: Callable[[int, int], None], should_stop: Callable[[], bool]
) -> tuple[TokenSets, dict[str, Tally]]:
    """The tokens of `train` and of every set to measure on, and what became of the rows of each dataset."""
    with collector_paused():
        samples = load_sets(config)
        train = encoder.encode_all(samples.train, progress, should_stop)
    # Kept with the tokens, so that a cached run tells of them too.
    train.report.sets = [tally.as_dict() for tally in samples.tallies.values()]
    train.report.problems[:0] = [warning for tally in samples.tallies.values() for warning in row_warnings(tally)]
    encode = encoder.encode_prompts if config.predict_with_generate else encoder.encode_all
    held = {name: encode(rows, None, should_stop) for name, rows in samples.evaluations.items()}
    return {TRAIN: train, **held}, samples.tallies


def _cached(config: TrainConfig, key: str) -> TokenSets | None:
    """What `_encode` made before; None where any of it is not there."""
    sets: TokenSets = {}
    for name in (TRAIN, *evaluation_names(config)):
        tokens = token_cache.load(cache_folder("tokens"), f"{key}-{name}")
        if tokens is None:
            return None
        sets[name] = tokens
    return sets


def _key(config: TrainConfig, model: Path, tokenizer: Any, template: Template | None, hashes: dict[str, str]) -> str:
    files = sorted(
        path for path in model.iterdir() if path.name.startswith(("tokenizer", "chat_template", "vocab", "merges"))
    )
    return token_cache.cache_key(
        {
            "format": [FORMAT, version("tokenizers")],
            "tokenizer": {file.name: file_sha256(file) for file in files if file.is_file()},
            "added": {number: repr(token) for number, token in tokenizer.added_tokens_decoder.items()},
            "chat_template": tokenizer.chat_template,
            "template": [template_sha256(config.template), config.default_system, config.tool_format],
            "date": str(date.today()) if _dated(tokenizer, template) else None,
            "options": asdict(EncodeOptions.of(config)),
            "generate": config.predict_with_generate,
            "max_samples": config.max_samples,
            "val_size": config.val_size,
            "mix": [config.mix_strategy, shares(config), config.eval_on_each_dataset],
            "seed": config.seed,
            "data": [[_contents(entry, hashes) for entry in entries] for entries in entries_of(config)],
        }
    )


def _contents(entry: DatasetEntry, hashes: dict[str, str]) -> list[Any]:
    state = hashes.get(f"{HUB}{entry.hub.name}") if entry.hub else None
    files = [hashes.get(str(file)) or file_sha256(file) for file in entry.files]
    return [entry.name, entry.meaning(), state, files]


def _dated(tokenizer: Any, template: Template | None) -> bool:
    """Whether the tokens depend on the day."""
    return template.dated if template else "strftime_now" in str(tokenizer.chat_template)
