"""What tells one piece of work from another: hashes of everything that changes the result, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from engine.config.schema import MergeConfig, TrainConfig, meta, names
from engine.errors import ConfigError, Problem
from engine.models import ModelFolder, weight_files


def file_sha256(file: Path) -> str:
    """Hex digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def train_fingerprint(
    config: TrainConfig, passed: dict[str, Any], model: ModelFolder, data_sha256: dict[str, str]
) -> str:
    """Of a training run: identity keys, keys passed through, the model, the data. A moved project keeps its own.

    Raises ConfigError where an adapter to go on from is not there.
    """
    adapters = [Path(adapter) / (config.adapter_folder or "") for adapter in names(config.adapter_name_or_path)]
    for adapter in adapters:
        if not (adapter / "adapter_model.safetensors").exists():
            params = {"path": str(adapter), "missing": "adapter_model.safetensors"}
            raise ConfigError(Problem("adapter_missing", params, "adapter_name_or_path"))
    kept = {
        name: value
        for name, value in msgspec.to_builtins(config).items()
        if (meta(TrainConfig, name).extra or {}).get("identity") and not name.endswith(("_dir", "_path"))
    }
    if config.packing or config.neat_packing:  # it decides on which samples share a row
        kept["preprocessing_num_workers"] = config.preprocessing_num_workers
    if not config.do_train:  # the answers are the result, so what they are written by tells runs apart
        kept |= {name: getattr(config, name) for name in ("do_train", *_GENERATING)}
    learned = {name: value for name, value in passed.items() if not name.startswith(_HOUSEKEEPING)}
    parts = {
        "config": kept,
        "passed": learned,
        "model": [model.model_type, model.parameters, Path(model.name).name, *map(_edges, weight_files(model.path))],
        "adapters": [file_sha256(adapter / "adapter_model.safetensors") for adapter in adapters],
        "data": sorted(data_sha256.values()),
    }
    return _digest(parts)


def merge_fingerprint(config: MergeConfig, adapters: list[Path], base: Path) -> str:
    """Of a merged model; `adapters` and `base` are folders."""
    files = [
        file_sha256(adapter / name)
        for adapter in adapters
        for name in ("adapter_model.safetensors", "adapter_config.json")
    ]
    asked = [config.export_size, config.infer_dtype, config.template, config.default_system]
    quantised = [config.quantization_bit, config.quantization_type, config.double_quantization]
    return _digest([*files, *map(_edges, weight_files(base)), *asked, *(quantised if config.dequantise else [])])


_GENERATING = (
    "predict_with_generate",
    "do_sample",
    "temperature",
    "top_p",
    "top_k",
    "num_beams",
    "max_length",
    "max_new_tokens",
    "repetition_penalty",
    "length_penalty",
    "skip_special_tokens",
)
# Keys passed through to transformers that say how a run is watched, not what it learns.
_HOUSEKEEPING = ("logging_", "log_", "save_", "hub_", "push_", "dataloader_pin", "dataloader_persistent", "project")
_EDGE = 1 << 20


def _edges(weights: Path) -> str:
    """Hash of a weight file's size and its first and last MiB: retrained weights differ there, and it is quick."""
    size = weights.stat().st_size
    with weights.open("rb") as stream:
        first = stream.read(_EDGE)
        stream.seek(max(0, size - _EDGE))
        return hashlib.sha256(size.to_bytes(8, "little") + first + stream.read()).hexdigest()


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
