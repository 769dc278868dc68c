"""Datasets of the Hugging Face hub through `datasets`: rows, what tells one state of a set from another, refusals.

The environment's HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE (or HF_DATASETS_OFFLINE) hold.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.data.entries import HubSet
from engine.data.readers import Row
from engine.data.readers.parquet import reason_of
from engine.errors import DataError, EnvironmentProblem, Problem
from engine.fingerprints import file_sha256

HUB = "hub:"  # before the name of a set, where files are told by their paths

_PATIENCE = 20.0  # seconds
_BATCH = 1000
_NAME = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
# What `datasets` says where a part of a set that was asked for is not in it.
_PARTS = {
    "split": ("unknown split", "bad split", "unrecognized instruction", "rounding"),
    "subset": ("config name is missing", "builderconfig", "not found. available"),
    "folder": ("any data file", "no (supported) data files"),
}
_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")


def hub_rows(hub: HubSet, cache_dir: str | None = None) -> Iterator[Row]:
    """The rows of a set, `file` its name and `line` 0. Runs in a worker: imports `datasets`.

    Raises EnvironmentProblem where the hub is out of reach, DataError where it has no such set, subset or split.
    """
    _require_name(hub)
    import datasets
    from datasets.exceptions import DatasetsError

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(
            hub.name, name=hub.subset, data_dir=hub.folder, split=hub.split, cache_dir=cache_dir
        )
    except (OSError, ValueError, DatasetsError) as error:
        raise _refusal(hub, error) from error
    except RuntimeError as error:  # what `datasets` says of sets that need a loading script
        if "scripts" not in str(error):
            raise
        raise DataError(Problem("hub_script", {"name": hub.name}, "hf_hub_url")) from error
    number = 0
    for batch in rows.iter(batch_size=_BATCH):
        for values in zip(*batch.values(), strict=True):
            yield Row(dict(zip(batch, values, strict=True)), hub.name, 0, number)
            number += 1


def hub_state(hub: HubSet) -> str:
    """What changes when the set does: the commit on the hub, or a hash of a local folder's files.

    Without the hub, the commit that was fetched last. Raises EnvironmentProblem where there is none either.
    """
    _require_name(hub)
    folder = Path(hub.name)
    if folder.is_dir():
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        lines = [f"{file.relative_to(folder)} {file_sha256(file)}" for file in files]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    reason: Exception = ConnectionError("HF_HUB_OFFLINE is set")
    if not offline():
        try:
            return str(HfApi().dataset_info(hub.name, timeout=_PATIENCE).sha)
        except HfHubHTTPError as error:
            raise _refusal(hub, error) from error
        except Exception as error:  # the transport's own kinds of failure differ from version to version
            reason = error
    known = _fetched(hub.name)
    if known is None:
        raise _refusal(hub, reason) from reason
    return known


def hub_environment(hashes: Iterable[str]) -> dict[str, str]:
    """What a worker's environment needs where `data_files` names sets of a hub: workers are offline otherwise.

    Whoever has forbidden the hub in the environment of this process stays offline.
    """
    if any(name.startswith(HUB) for name in hashes):
        return {"HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "0")}
    return {}


def hub_file(name: str, file: str) -> Path:
    """A file of a dataset on the hub, fetched or from the cache. Raises EnvironmentProblem or DataError."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo_id=name, filename=file, repo_type="dataset"))
    except Exception as error:  # HTTP errors, names that cannot be one, the transport's own
        raise _refusal(HubSet(name), error) from error


def offline() -> bool:
    """Whether the environment forbids going to the hub."""
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in _OFFLINE)


def _fetched(name: str) -> str | None:
    from huggingface_hub.constants import HF_HUB_CACHE

    main = Path(HF_HUB_CACHE) / f"datasets--{name.replace('/', '--')}" / "refs" / "main"
    return main.read_text().strip() if main.is_file() else None


def _require_name(hub: HubSet) -> None:
    if not _NAME.fullmatch(hub.name) and not Path(hub.name).is_dir():
        raise DataError(Problem("hub_set_name", {"name": hub.name}, "hf_hub_url"))


def _refusal(hub: HubSet, error: Exception) -> DataError | EnvironmentProblem:
    """The library's complaint as a problem with what to do."""
    said = reason_of(error)
    status = getattr(getattr(error, "response", None), "status_code", None)
    lower = said.lower()
    params = {"name": hub.name, "reason": said}
    if status in (401, 403) or "gated" in lower:
        return EnvironmentProblem(Problem("hub_set_gated", params, "hf_hub_url"))
    for part, words in _PARTS.items():
        if any(word in lower for word in words):
            value = getattr(hub, part) or "null"
            return DataError(Problem("hub_set_part", {**params, "part": part, "value": value}, part))
    if status == 404 or "doesn't exist" in lower:
        return DataError(Problem("hub_set_unknown", params, "hf_hub_url"))
    code = "hub_set_offline" if offline() else "hub_set_unreachable"
    return EnvironmentProblem(Problem(code, params, "hf_hub_url"))
