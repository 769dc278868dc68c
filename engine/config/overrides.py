"""What a command line says over a file: `key=value`, LLaMA-Factory's way, and `--key value` after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.config.checking import nearest
from engine.config.fates import fates, known_keys, status
from engine.config.finding import kind_of
from engine.config.reading import Document, parse_value
from engine.config.schema import WizardConfig, fields
from engine.errors import ConfigError, Problem

Overrides = dict[str, dict[str, Any]]


def with_overrides(document: Document, overrides: Sequence[str]) -> tuple[Document, Overrides]:
    """`key=value` over the file, and what `train.key=value` and `merge.key=value` say of config.yaml's parts."""
    values, parts = {**document.values}, Overrides()
    lines, overridden = dict(document.lines), set[str]()
    kind = kind_of(document) if overrides else "train"
    for given in overrides:
        name, equals, text = given.partition("=")
        name = name.strip().lstrip("-")
        if not equals or not name:
            raise ConfigError(Problem("override_form", {"given": given}))
        if name.rpartition(".")[2] in _secrets():
            raise ConfigError(Problem("secret_on_command_line", key=name))
        value = parse_value(text)
        part, dot, inner = name.partition(".")
        if kind != "project" or (not dot and part in fields(WizardConfig)):
            values[name] = value
            overridden.add(name)
        elif dot and part in ("train", "merge"):
            parts.setdefault(part, {})[inner] = value
        elif dot and part == "data":
            if not isinstance(values.get("data", {}), dict):
                continue  # its type is reported with the file's own problems
            values["data"] = {**values.get("data", {}), inner: value}
            lines.pop(("data", inner), None)
        else:
            raise ConfigError(Problem("override_unknown", key=name))
    return Document(document.file, values, lines, frozenset(overridden)), parts


def pairs(words: Sequence[str]) -> list[str]:
    """Words after the file as `key=value`: `key=value`, `--key=value`, `--key value`, and `--key` alone for true.

    Behind `--`, hyphens may stand for underscores. Raises ConfigError for a word that is none of these, and for
    `--key` of no known key with the nearest ones.
    """
    found, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            if not equals:
                raise ConfigError(Problem("override_form", {"given": word}))
            found.append(word)
            continue
        key = name.replace("-", "_")
        if status(key.rpartition(".")[2]) is None:
            near = nearest(name, [*known_keys(), *OPTIONS])
            params = {"given": f"--{name}", "near": [f"--{one}" for one in near]}
            raise ConfigError(Problem("option_unknown" if near else "option_unknown_far", params))
        if equals:
            found.append(f"{key}={value}")
        else:
            found.append(f"{key}={rest.pop(0) if rest and _is_value(rest[0]) else 'true'}")
    return found


OPTIONS = ("set", "dry-run", "fresh", "json", "detach", "require-gpu", "force", "fit", "help")


def _is_value(word: str) -> bool:
    """Whether a word after `--key` is its value, and not the next flag or pair."""
    name, equals, _ = word.partition("=")
    return not word.startswith("--") and not (equals and status(name) is not None)


def _secrets() -> set[str]:
    """Keys whose value is a secret, under each of their names."""
    secret = {name for name, fate in fates().items() if fate.secret}
    return secret | {name for name, fate in fates().items() if fate.new in secret}
