"""Models on the hub: what one is, and its download. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE count."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EnvironmentProblem, Problem
from engine.hub_parts import go_on
from engine.hub_refusals import asked, require_online
from engine.storage import free_bytes
from engine.text import Phrase

if TYPE_CHECKING:
    from engine.models import Progress

PATTERNS = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
SUBFOLDERS = ["*/*"]
PATIENCE = 8.0  # seconds, for a first answer
BREATH = 0.5  # seconds between two looks at what has arrived


@dataclass(frozen=True)
class Card:
    """What the hub tells of a model. bytes: of its weights. parameters and dtype: of these, where it has counted them.

    chat_template: the tokenizer's own, empty where there is none. tags: the hub's.
    """

    name: str
    bytes: int
    licence: str = ""
    gated: bool = False
    parameters: int | None = None
    dtype: str = ""
    chat_template: str = ""
    tags: tuple[str, ...] = field(default=())


def card(name: str) -> Card:
    """Ask the hub what a model is, and whether we may have it. Raises as `asked` does."""
    from huggingface_hub import HfApi

    with asked(name):
        require_online()
        info = HfApi().model_info(name, timeout=PATIENCE, files_metadata=True)
        if info.gated:
            HfApi().auth_check(name)
    counted = info.safetensors.parameters if info.safetensors else {}
    about: dict[str, Any] = info.card_data.to_dict() if info.card_data else {}  # type: ignore[no-untyped-call]
    template = ((info.config or {}).get("tokenizer_config") or {}).get("chat_template")
    if isinstance(template, list):  # several, by name
        template = next((one.get("template") for one in template if isinstance(one, dict)), "")
    return Card(
        name,
        sum(
            file.size or 0
            for file in info.siblings or []
            if file.rfilename.endswith(".safetensors") and "/" not in file.rfilename
        ),
        str(about.get("license_name") or about.get("license") or ""),
        bool(info.gated),
        info.safetensors.total if info.safetensors else None,
        max(counted, key=lambda dtype: counted[dtype], default=""),
        str(template or ""),
        tuple(map(str, info.tags or ())),
    )


def hub_config(name: str, revision: str | None = None, cache_dir: str | None = None) -> Path:
    """The config.json of a hub model whose weights need not be here: from the hub's cache, else from the hub.

    Raises as `asked` does where neither has it.
    """
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache

    from engine import builtin_model

    wanted = builtin_model.HUB_NAME if builtin_model.is_builtin(name) else name
    with asked(wanted):
        cached = try_to_load_from_cache(wanted, "config.json", cache_dir=cache_dir, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        require_online()
        HfApi().model_info(wanted, revision=revision, timeout=PATIENCE)  # a quick no, as in `download`
        return Path(
            hf_hub_download(wanted, "config.json", revision=revision, cache_dir=cache_dir, etag_timeout=PATIENCE)
        )


def download(
    name: str,
    progress: Progress,
    *,
    code: bool = False,
    revision: str | None = None,
    cache_dir: str | None = None,
) -> Path:
    """Fetch a model into the hub's cache; what is there already, whole or in part, is not fetched again.

    Raises what huggingface_hub raises: `asked` makes problems of it.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

    require_online()
    patterns = [*PATTERNS, *(["*.py"] if code else [])]
    # A quick no, before the download's own patience.
    info = HfApi().model_info(name, revision=revision, timeout=PATIENCE, files_metadata=True)
    wanted = list(
        filter_repo_objects(
            info.siblings or [],
            allow_patterns=patterns,
            ignore_patterns=SUBFOLDERS,
            key=lambda file: file.rfilename,
        )
    )
    files = {
        (file.lfs.sha256 if file.lfs else file.blob_id or file.rfilename): (file.rfilename, file.size or 0)
        for file in wanted
    }
    sizes = {blob: size for blob, (_name, size) in files.items()}
    blobs = Path(cache_dir or HF_HUB_CACHE).expanduser() / f"models--{name.replace('/', '--')}" / "blobs"
    _require_room(name, blobs, sizes)
    with _watched(blobs, sizes, Phrase("Fetching {name} from the hub", {"name": name}), progress):
        go_on(name, str(info.sha), files, blobs)
        return Path(
            snapshot_download(
                name,
                revision=revision,
                cache_dir=cache_dir,
                allow_patterns=patterns,
                ignore_patterns=SUBFOLDERS,
            )
        )


def _require_room(name: str, blobs: Path, sizes: Mapping[str, int]) -> None:
    """Raise EnvironmentProblem where the disk of the cache cannot hold what is missing."""
    missing, free = sum(sizes.values()) - _arrived(blobs, sizes), free_bytes(blobs)
    if missing > free:
        params = {
            "name": name,
            "needed": f"{missing / 1e9:.1f}",
            "free": f"{free / 1e9:.1f}",
            "path": str(blobs.parent),
        }
        raise EnvironmentProblem(Problem("download_no_room", params))


@contextlib.contextmanager
def _watched(blobs: Path, sizes: Mapping[str, int], what: Phrase, progress: Progress) -> Iterator[None]:
    """Tell how much lies in the cache, whoever fetches it: huggingface_hub only tells of its own part.

    sizes: {name of a blob: bytes} of what is wanted.
    """
    total = sum(sizes.values())
    done = threading.Event()

    def watch() -> None:
        told = -1
        while not done.wait(BREATH if told >= 0 else 0):
            if (now := _arrived(blobs, sizes)) != told:
                told = now
                progress(what, told, total)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    progress(what, total, total)


def _arrived(blobs: Path, sizes: Mapping[str, int]) -> int:
    """Bytes of these files that are in the cache, whole or in part."""
    return sum(min(_size(blobs, name), size) for name, size in sizes.items())


def _size(blobs: Path, name: str) -> int:
    largest = 0
    for file in (blobs / name, *blobs.glob(f"{name}*.incomplete")):
        with contextlib.suppress(OSError):
            largest = max(largest, file.stat().st_size)
    return largest
