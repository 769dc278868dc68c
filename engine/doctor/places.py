"""Folders that a run writes to: their free space, whether we may write there; and the hub's cache and settings."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from engine.doctor.check import Check, Status
from engine.hardware import GIB
from engine.storage import APP
from engine.text import NOTHING, Phrase, listed, verbatim

GB = 10**9  # of the limits; what is shown is in GiB, as in an estimate


@dataclass(frozen=True)
class Hub:
    """How this process would talk to the hub. token: only whether there is one. endpoint: without credentials."""

    cache: Path
    token: bool
    endpoint: str
    offline: bool

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "cache": str(self.cache),
            "token": self.token,
            "endpoint": self.endpoint,
            "offline": self.offline,
        }


def hub_settings() -> Hub | None:
    """As huggingface_hub reads environment and files; None where it is not installed."""
    try:
        from huggingface_hub import constants, get_token
    except ImportError:
        return None
    token = False
    with contextlib.suppress(OSError, ValueError):  # a token file that we may not read, or that is no text
        token = bool(get_token())
    return Hub(Path(constants.HF_HUB_CACHE), token, without_credentials(constants.ENDPOINT), constants.HF_HUB_OFFLINE)


def without_credentials(url: str) -> str:
    """Scheme, host, port and path of a URL; a user, password or query in it stays private."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "?"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


@dataclass(frozen=True)
class Place:
    """A folder: too little space below `least` bytes, little below `usual`. must: nothing works without writing."""

    id: str
    title: Phrase
    path: Path
    least: int
    usual: int
    must: bool


def places(cwd: Path, hub: Hub | None) -> list[Place]:
    """Where things are written. A model of 7B parameters is 15 GB, and so is its merge."""
    found = [
        Place("cwd", Phrase("Working folder"), cwd, GB, 20 * GB, False),
        Place("temp", Phrase("Temporary files"), Path(tempfile.gettempdir()), GB // 10, GB, True),
        Place("state", Phrase("State of runs"), Path(platformdirs.user_state_path(APP)), GB // 10, GB // 2, True),
        Place("cache", Phrase("Cache"), Path(platformdirs.user_cache_path(APP)), GB // 2, 5 * GB, True),
    ]
    if hub is not None:
        found.insert(1, Place("hub_cache", Phrase("Model cache"), hub.cache, GB, 20 * GB, False))
    return found


def check_place(place: Place, free: Callable[[Path], int], refusal: Callable[[Path], str]) -> Check:
    """Space and permission of a folder that is there or will be made."""
    identity = f"folder.{place.id}"
    if reason := refusal(place.path):
        finding = Phrase("{path} cannot be written: {reason}", {"path": place.path, "reason": reason})
        remedy = Phrase("Make it writable. {instead}", {"instead": _elsewhere(place)})
        return Check(identity, "fail" if place.must else "warn", place.title, finding, remedy)
    space = free(place.path)
    finding = Phrase("{free} GB free at {path}", {"free": f"{space / GIB:.1f}", "path": place.path})
    status: Status = "fail" if space < place.least else "warn" if space < place.usual else "ok"
    remedy = NOTHING if status == "ok" else Phrase("Make room there. {instead}", {"instead": _elsewhere(place)})
    return Check(identity, status, place.title, finding, remedy)


def refusal(path: Path) -> str:
    """Why `path`, or what it would be made in, cannot be written; empty where it can. Leaves nothing behind."""
    try:
        there = next((folder for folder in (path, *path.absolute().parents) if folder.exists()), path)
        with tempfile.TemporaryFile(dir=there) as stream:
            stream.write(b"x")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def check_hub(hub: Hub | None) -> Iterator[Check]:
    """Token and endpoint. The hub is not contacted."""
    if hub is None:
        return
    title = Phrase("Model hub")
    token = Phrase("a token is set")
    if not hub.token:
        token = Phrase("no token; only models with terms to accept need one (hf auth login)")
    found = listed([verbatim(hub.endpoint), token])
    if not hub.endpoint.startswith(("https://", "http://")):
        yield Check("hub", "fail", title, found, Phrase("HF_ENDPOINT has to be a whole address: https://…"))
    elif hub.offline:
        remedy = Phrase("Unset HF_HUB_OFFLINE to download; what is in the cache is used without it too.")
        yield Check("hub", "warn", title, listed([found, Phrase("HF_HUB_OFFLINE: nothing is downloaded")]), remedy)
    else:
        yield Check("hub", "ok", title, found)


def _elsewhere(place: Place) -> Phrase:
    """How to have it somewhere else."""
    variables = {
        "cwd": Phrase("Or start in another folder."),
        "hub_cache": Phrase("Or move it: export HF_HOME=/another/disk/huggingface"),
        "temp": Phrase("Or elsewhere: export TMPDIR=/another/disk/tmp"),
        "state": Phrase("Or elsewhere: export XDG_STATE_HOME=/another/disk/state"),
        "cache": Phrase("Or elsewhere: export XDG_CACHE_HOME=/another/disk/cache"),
    }
    return variables[place.id]
