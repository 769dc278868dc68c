"""Downloads left in the middle of a file. huggingface_hub begins such a file anew; here it is gone on with."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")  # the names of large files in the cache


def go_on(name: str, revision: str, files: Mapping[str, tuple[str, int]], blobs: Path) -> None:
    """Complete in `blobs` the files of which an earlier download left a part.

    files: {name in the cache: (name in the repository, bytes)}. One that another process fetches is left to it. What
    does not have its checksum in the end is thrown away, and then fetched anew by whoever comes next.

    Raises what huggingface_hub raises; the part is kept then.
    """
    from filelock import FileLock, Timeout
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    for blob, (file, size) in files.items():
        parts = sorted(blobs.glob(f"{blob}*.incomplete"), key=lambda part: part.stat().st_size)
        if not parts or not _SHA256.fullmatch(blob):
            continue
        lock = blobs.parents[1] / ".locks" / blobs.parent.name / f"{blob}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(lock, timeout=0, mode=0o664):
                if not (blobs / blob).exists():
                    with parts[-1].open("r+b") as stream:
                        have = stream.seek(0, 2)
                        if have < size:
                            url = hf_hub_url(name, file, revision=revision)
                            http_get(url, stream, resume_size=have, headers=build_hf_headers(), expected_size=size)
                    if _sha256(parts[-1]) == blob:
                        parts[-1].replace(blobs / blob)
                for part in parts:
                    part.unlink(missing_ok=True)
        except Timeout:
            continue


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
