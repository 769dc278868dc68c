"""What a model is, from its folder alone, and where to get one. No torch: config.json and safetensors headers do."""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config.schema import MergeConfig, TrainConfig
from engine.errors import ConfigError, Problem
from engine.hub_refusals import asked, folder_of, is_hub_name
from engine.model_hub import download
from engine.text import Phrase, parameter_words

Progress = Callable[[Phrase, int, int], None]  # (what, bytes done, bytes in all; 0 when unknown)

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json")
_POINTER = b"version https://git-lfs"
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk. `name` is what configs call it: the hub name where it has one, else the path."""

    path: Path
    name: str
    model_type: str
    parameters: int
    bytes: int
    dtype: str
    max_positions: int | None

    @property
    def size(self) -> str:
        """Parameters in a person's words: 135M, 7.6B."""
        return parameter_words(self.parameters)


def inspect_model(path: Path, name: str | None = None) -> ModelFolder:
    """Read a model folder. Raises ConfigError where it is not a complete one."""
    try:
        found = sorted(entry.name for entry in path.iterdir())[:8]
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(Problem("file_unreadable", {"path": str(path), "reason": reason})) from None
    if not (path / "config.json").exists():
        if (path / "adapter_config.json").exists():
            base = read_json(path / "adapter_config.json").get("base_model_name_or_path", "?")
            raise ConfigError(Problem("model_is_adapter", {"path": str(path), "base": base}))
        raise ConfigError(
            Problem("model_folder_incomplete", {"path": str(path), "missing": "config.json", "found": found})
        )
    shards = weight_files(path)
    missing = [
        what
        for what, there in (
            (", ".join(_missing_shards(path)) or "*.safetensors", bool(shards)),
            ("tokenizer.json", any((path / file).exists() for file in _TOKENIZER_FILES)),
        )
        if not there
    ]
    if missing:
        raise ConfigError(Problem("model_folder_incomplete", {"path": str(path), "missing": missing, "found": found}))
    config = read_json(path / "config.json")
    inner = config.get("text_config") or config
    parameters, size = 0, 0
    dtypes: dict[str, int] = {}
    for shard in shards:
        for tensor in safetensors_header(shard).values():
            start, end = tensor["data_offsets"]
            count = 1
            for length in tensor["shape"]:
                count *= length
            parameters, size = parameters + count, size + end - start
            dtypes[tensor["dtype"]] = dtypes.get(tensor["dtype"], 0) + count
    if not dtypes:
        raise ConfigError(Problem("weights_damaged", {"file": str(shards[0])}))
    return ModelFolder(
        path=path,
        name=name or str(path),
        model_type=str(config.get("model_type", "?")),
        parameters=parameters,
        bytes=size,
        dtype=max(dtypes, key=lambda dtype: dtypes[dtype]),
        max_positions=inner.get("max_position_embeddings"),
    )


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a model folder, in the index's order. Empty where there are none."""
    if (path / _INDEX).exists():
        return [] if _missing_shards(path) else [path / name for name in _listed_shards(path)]
    single = path / "model.safetensors"
    return [single] if single.exists() else []


def _listed_shards(path: Path) -> list[str]:
    index = path / _INDEX
    if not index.exists():
        return []
    weights = read_json(index).get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise ConfigError(Problem("json_damaged", {"file": str(index), "reason": Phrase("no weight_map")}))
    return list(dict.fromkeys(map(str, weights.values())))


def _missing_shards(path: Path) -> list[str]:
    return [name for name in _listed_shards(path) if not (path / name).exists()]


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ConfigError where there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        reason = (str(error).splitlines() or [""])[0][:120]
        raise ConfigError(Problem("json_damaged", {"file": str(file), "reason": reason})) from None
    if not isinstance(found, dict):
        raise ConfigError(Problem("json_damaged", {"file": str(file), "reason": Phrase("not an object")}))
    return found


def safetensors_header(file: Path) -> dict[str, Any]:
    """{tensor: dtype, shape, data_offsets} of one file, without its metadata.

    Raises ConfigError where it is a Git LFS pointer, or damaged: no header, or another size than its header says.
    """
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > 100_000_000:
                raise ValueError("header too long")
            header: dict[str, Any] = json.loads(stream.read(length))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        if 8 + length + max(ends, default=0) != file.stat().st_size:
            raise ValueError("not whole")
    except (ValueError, TypeError, LookupError, AttributeError, struct.error, OSError, RecursionError):
        if _is_pointer(file):
            params = {"file": str(file), "folder": str(file.parent)}
            raise ConfigError(Problem("weights_pointer", params)) from None
        raise ConfigError(Problem("weights_damaged", {"file": str(file)})) from None
    header.pop("__metadata__", None)
    return header


def _is_pointer(file: Path) -> bool:
    with contextlib.suppress(OSError), file.open("rb") as stream:
        return stream.read(len(_POINTER)) == _POINTER
    return False


def find_model(name: str, revision: str | None = None, cache_dir: str | None = None) -> ModelFolder | None:
    """The model where it is on this machine already: a folder, our cache, the hub's cache. Never the network.

    revision: branch, tag or commit of a hub's model; cache_dir: the hub's cache where it is not the usual one.
    """
    from engine import builtin_model

    folder = folder_of(name)
    if folder.is_dir():
        return inspect_model(folder.resolve())
    if builtin_model.is_builtin(name):
        path = builtin_model.cached()
        return inspect_model(path, builtin_model.HUB_NAME) if path else None
    path = hub_cached(name, revision, cache_dir)
    return inspect_model(path, name) if path else None


def get_model(
    name: str,
    progress: Progress,
    *,
    code: bool = False,
    revision: str | None = None,
    cache_dir: str | None = None,
) -> ModelFolder:
    """`find_model`, then the network; with `code`, Python files that come with the model are fetched too.

    Raises ConfigError or EnvironmentProblem saying everywhere it looked."""
    from engine import builtin_model

    found = find_model(name, revision, cache_dir)
    if found:
        return found
    if builtin_model.is_builtin(name):
        return inspect_model(builtin_model.fetch(progress), builtin_model.HUB_NAME)
    with asked(name):
        return inspect_model(download(name, progress, code=code, revision=revision, cache_dir=cache_dir), name)


def model_of(config: TrainConfig | MergeConfig, progress: Progress) -> ModelFolder:
    """The base model that a config names. Raises as `get_model` does."""
    return get_model(
        config.model_name_or_path,
        progress,
        code=config.trust_remote_code,
        revision=config.model_revision,
        cache_dir=config.cache_dir,
    )


def log_in(secrets: dict[str, str]) -> None:
    """Show the hub the token of a config from now on, unless the environment has one."""
    for name in ("hf_hub_token", "hub_token"):
        if name in secrets:
            os.environ.setdefault("HF_TOKEN", secrets[name])


def foreign_code(path: Path) -> list[str]:
    """What trust_remote_code would let run: Python files of a model folder, and other repositories it names."""
    named = [str(entry) for entry in _strings(read_json(path / "config.json").get("auto_map"))]
    others = {entry.partition("--")[0] for entry in named if "--" in entry}
    return sorted({file.name for file in path.glob("*.py")} | others)


def commit_of(path: Path) -> str | None:
    """The commit of a hub's snapshot folder; None for a folder of one's own."""
    return path.name if path.parent.name == "snapshots" else None


def _strings(value: Any) -> list[str]:
    """The texts in a mapping's values, lists among them."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for part in parts for text in ([part] if isinstance(part, str) else _strings(part))]


def cached_names() -> list[str]:
    """The models of the hub's local cache, complete or not."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folders = sorted(Path(HF_HUB_CACHE).glob("models--*"))
    return [folder.name.removeprefix("models--").replace("--", "/") for folder in folders]


def cached_models() -> list[ModelFolder]:
    """The models of the hub's local cache that are complete, by name."""
    found = []
    for name in cached_names():
        with contextlib.suppress(ConfigError):
            path = hub_cached(name)
            found += [inspect_model(path, name)] if path else []
    return found


def hub_cached(name: str, revision: str | None = None, cache_dir: str | None = None) -> Path | None:
    """The snapshot folder of a hub model in the hub's local cache, if it is complete enough to load."""
    if not is_hub_name(name):
        return None
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, "config.json", cache_dir=cache_dir, revision=revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    complete = weight_files(folder) and any((folder / file).exists() for file in _TOKENIZER_FILES)
    return folder if complete else None
