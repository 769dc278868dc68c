"""Why the hub does not give a model: gated, unknown, forbidden here, or not reached; each with what to do."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, EnvironmentProblem, Problem, ProblemError
from engine.text import NOTHING, Phrase

MOST_NEAR = 3  # names that may have been meant


@contextlib.contextmanager
def asked(name: str) -> Iterator[None]:
    """Whatever goes wrong with the hub becomes a problem that says what to do.

    ConfigError model_missing (this is no hub name) and model_unknown, each also with _near; EnvironmentProblem
    model_gated, model_offline, model_unreachable.
    """
    if not is_hub_name(name):
        params = {"name": name, "folder": str(folder_of(name).absolute()), "near": near(name)}
        raise ConfigError(Problem("model_missing_near" if params["near"] else "model_missing", params))
    try:
        yield
    except ProblemError:
        raise
    except Exception as error:
        problem = _problem(name, error)
        kind = ConfigError if problem.code.startswith("model_unknown") else EnvironmentProblem
        raise kind(problem) from None


def _problem(name: str, error: Exception) -> Problem:
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    from engine.doctor.places import without_credentials

    params: dict[str, Any] = {"name": name, "endpoint": without_credentials(constants.ENDPOINT)}
    status = status_of(error)
    if isinstance(error, GatedRepoError) or status == 403:
        return Problem("model_gated", {**params, "how": _way_in(), "page": f"{params['endpoint']}/{name}"})
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        params |= {"near": near(name), "private": NOTHING if _token() else _PRIVATE}
        return Problem("model_unknown_near" if params["near"] else "model_unknown", params)
    if status == 401:
        return Problem("model_gated", {**params, "how": _WRONG_TOKEN, "page": f"{params['endpoint']}/{name}"})
    if isinstance(error, OfflineModeIsEnabled) or offline():
        return Problem("model_offline", params)
    proxies = [without_credentials(os.environ[name]) for name in _PROXIES if os.environ.get(name)]
    via = Phrase(" through the proxy {proxy}", {"proxy": proxies[0]}) if proxies else NOTHING
    return Problem("model_unreachable", {**params, "reason": said(error), "via": via})


_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_PRIVATE = Phrase("If it is private, log in first: hf auth login.")
_NO_TOKEN = Phrase("Then log in here: hf auth login (or set HF_TOKEN).")
_NO_ACCESS = Phrase("You are logged in: do that with the same account, whose token must be allowed to read it.")
_WRONG_TOKEN = Phrase("The hub does not take your token: log in again with hf auth login, or correct HF_TOKEN.")


def _way_in() -> Phrase:
    return _NO_ACCESS if _token() else _NO_TOKEN


def _token() -> bool:
    from huggingface_hub import get_token

    with contextlib.suppress(OSError, ValueError):  # a token file that we may not read, or that is no text
        return bool(get_token())
    return False


def near(name: str) -> list[str]:
    """Names of recommended models and of those in the hub's cache that may have been meant."""
    from engine.memory.recommended import all_models
    from engine.models import cached_names

    known = list(dict.fromkeys([*(model.name for model in all_models()), *cached_names()]))
    short = name.rpartition("/")[2].lower()
    by_word = {full.lower(): full for full in known} | {full.rpartition("/")[2].lower(): full for full in known}
    found = [
        by_word[word] for text in (name.lower(), short) for word in difflib.get_close_matches(text, by_word, 5, 0.75)
    ]
    return [full for full in dict.fromkeys(found) if full != name][:MOST_NEAR]


def folder_of(name: str) -> Path:
    """What a model's name is as a path."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # ~somebody who has no home here
        return Path(name)


def is_hub_name(name: str) -> bool:
    """Whether the hub could have it: owner/name in the hub's letters."""
    return bool(re.fullmatch(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", name, re.ASCII)) and not re.search(
        r"--|\.\.|[.-](?:/|$)|\.git$", name
    )


def offline() -> bool:
    """Whether the environment forbids going to the hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() not in ("", "0", "NO", "OFF", "FALSE")


def require_online() -> None:
    """Raise ConnectionError where it does."""
    if offline():
        raise ConnectionError("HF_HUB_OFFLINE is set")


def status_of(error: Exception) -> int | None:
    """The status of the hub's answer; None where there was none."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def said(error: Exception) -> Phrase:
    """What went wrong on the way, in a few words."""
    status = status_of(error)
    if status is not None:
        return Phrase("it answered with the status {status}", {"status": status})
    text = (str(error).splitlines() or [""])[0] or type(error).__name__
    return Phrase("{error}", {"error": text[:120]})


def hub_reason(error: Exception) -> Phrase:
    """Why the hub did not give it, as part of a sentence."""
    from huggingface_hub.errors import RepositoryNotFoundError

    status = status_of(error)
    gated = type(error).__name__ == "GatedRepoError"
    if gated or (status in (401, 403) and not isinstance(error, RepositoryNotFoundError)):
        return Phrase("it is gated or private: accept its licence on the hub, then run hf auth login")
    if status in (401, 404):
        return Phrase("it has no such model")
    return Phrase("not reached: {error}", {"error": said(error)})
