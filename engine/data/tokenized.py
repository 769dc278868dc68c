"""tokenized_path: tokenised data in a folder that LLaMA-Factory reads and writes too."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.config.schema import TrainConfig, fields
from engine.data import dataset_dict
from engine.data.encoded import Encoded, EncodeReport, Prompts
from engine.data.sets import EVAL
from engine.data.token_columns import chunks, tokens_of, types
from engine.errors import DataError, Problem
from engine.fingerprints import file_sha256

TRAIN, VALIDATION = "train", "validation"
_NOTE = "sft_wizard.json"  # beside the splits: what they were made of, and what became of the rows
# Keys that say nothing any more once the data is tokenised.
DATA_KEYS = (
    "dataset", "eval_dataset", "template", "cutoff_len", "max_samples", "val_size", "train_on_prompt", "mask_history",
    "packing", "neat_packing", "drop_long", "mix_strategy", "interleave_probs", "eval_on_each_dataset", "tool_format",
    "default_system", "enable_thinking", "preserve_thinking", "split_special_tokens", "strict_compat",
)  # fmt: skip

Sets = dict[str, Encoded | Prompts]  # `train`, and those to measure on by name


def is_tokenized(config: TrainConfig) -> bool:
    """Whether the folder of tokenized_path is there and not empty: the data is then read from it."""
    path = Path(config.tokenized_path) if config.tokenized_path else None
    return path is not None and path.is_dir() and any(path.iterdir())


def tokenized_hashes(config: TrainConfig) -> dict[str, str]:
    """What `data_files` is without tokenized_path, where this tool wrote the folder; else {file: sha256} of its files.

    Raises DataError tokenized_unreadable.
    """
    folder = Path(config.tokenized_path or "")
    recorded: dict[str, str] | None = _note(folder).get("data_sha256")
    if recorded is not None:
        return recorded
    return {str(file): file_sha256(file) for files in dataset_dict.split_files(folder).values() for file in files}


def load_tokenized(config: TrainConfig, vocabulary: int) -> tuple[Sets, list[Problem]]:
    """All sets in the folder of tokenized_path, and notes on keys that have no effect on it.

    Raises DataError: tokenized_unreadable, tokenized_columns, tokenized_other_vocabulary (an id is not below
    `vocabulary`), tokenized_for_prompts and tokenized_for_training (predict_with_generate was another one).
    """
    folder = Path(config.tokenized_path or "")
    note = _note(folder)
    sets: Sets = {}
    for split, files in dataset_dict.split_files(folder).items():
        tokens = tokens_of(dataset_dict.read_split(folder, files), str(folder))
        if split in note.get("reports", {}):
            tokens = replace(tokens, report=EncodeReport.from_dict(note["reports"][split]))
        if len(tokens.input_ids) and int(tokens.input_ids.max()) >= vocabulary:
            params = {"folder": str(folder), "largest": int(tokens.input_ids.max()), "vocabulary": vocabulary}
            raise DataError(Problem("tokenized_other_vocabulary", params, "tokenized_path"))
        prompts = isinstance(tokens, Prompts)
        if prompts != (config.predict_with_generate and split != TRAIN) and len(tokens):
            code = "tokenized_for_prompts" if prompts else "tokenized_for_training"
            raise DataError(Problem(code, {"folder": str(folder), "split": split}, "tokenized_path"))
        sets[_name(split)] = tokens
    return sets, _ignored(config, note, folder)


def require_free(folder: Path) -> None:
    """Raise DataError tokenized_there where something lies at this place."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(Problem("tokenized_there", {"folder": str(folder)}, "tokenized_path"))


def save_tokenized(
    folder: Path, config: TrainConfig, sets: Sets, *, pad_id: int, data_sha256: dict[str, str]
) -> dict[str, int]:
    """Write all sets, whole or not at all; {split: rows}. Raises DataError tokenized_there, OSError."""
    require_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f"{folder.name}.part-{os.getpid()}")
    splits = {split_name(name): tokens for name, tokens in sets.items() if name != TRAIN or len(tokens)}
    try:
        for split, tokens in splits.items():
            rows = chunks(tokens, pad_id, config.cutoff_len)
            dataset_dict.write_split(part, split, types(tokens), rows, _digest(tokens))
        note = {
            "keys": {name: getattr(config, name) for name in DATA_KEYS},
            "data_sha256": data_sha256,
            "reports": {split: tokens.report.as_dict() for split, tokens in splits.items()},
        }
        (part / _NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        dataset_dict.write_index(part, list(splits))
        if folder.is_dir():  # empty
            folder.rmdir()
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return {split: len(tokens) for split, tokens in splits.items()}


def _name(split: str) -> str:
    """`train`, `eval` or the name of a set to measure on, as LLaMA-Factory reads the names of splits."""
    if split == VALIDATION:
        return EVAL
    return split.removeprefix(f"{VALIDATION}_")


def split_name(name: str) -> str:
    """The name that LLaMA-Factory gives the split of a set."""
    return {TRAIN: TRAIN, EVAL: VALIDATION}.get(name, f"{VALIDATION}_{name}")


def _note(folder: Path) -> dict[str, Any]:
    """What this tool noted when it wrote the folder; empty where another one did."""
    try:
        note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _ignored(config: TrainConfig, note: dict[str, Any], folder: Path) -> list[Problem]:
    """A note on keys that are set and say nothing, or a warning where they say something else than the folder holds."""
    known = note.get("keys")
    if known is not None:
        others = [
            f"{name}: {known[name]}" for name in DATA_KEYS if name in known and known[name] != getattr(config, name)
        ]
        params: dict[str, Any] = {"folder": str(folder), "keys": others}
        return [Problem("tokenized_differs", params, "tokenized_path", severity="warning")] if others else []
    defaults = {name: field.default for name, field in fields(TrainConfig).items()}
    given = [name for name in DATA_KEYS if getattr(config, name) != defaults[name]]
    params = {"folder": str(folder), "keys": given}
    return [Problem("tokenized_keys_ignored", params, "tokenized_path", severity="warning")] if given else []


def _digest(tokens: Encoded | Prompts) -> str:
    found = hashlib.sha256(tokens.input_ids.tobytes())
    found.update(tokens.labels.tobytes())
    return found.hexdigest()
