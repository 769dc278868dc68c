"""The templates that are shipped: files in `templates/chat`, one for each family, read when one is asked for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from engine.data.template_slots import CONTENT, Element, Slot, Special, Template, Token
from engine.data.tools import DIALECTS
from engine.errors import ConfigError, Problem

AUTO = "auto"
_AMBIGUOUS = {"llama": ("llama2", "llama3"), "chatglm": ("chatglm3", "glm4")}
_NAME = re.compile(r"^([\w.-]+):", re.MULTILINE)  # at the start of a line nothing but names of templates stands
_SLOTS = ("prefix", "system", "user", "assistant", "function", "observation", "generation_prompt")


def shipped() -> tuple[str, ...]:
    """Names that `load_template` knows, in alphabetical order; `auto` is not among them."""
    return tuple(sorted(_families()))


def load_template(
    name: str | None, *, default_system: str | None = None, tool_format: str | None = None
) -> Template | None:
    """The template of that name; None for None and `auto`.

    `default_system` stands in for the template's own. `tool_format` names another tool dialect; as in LLaMA-Factory a
    call then ends with the end-of-text token (nothing with efficient_eos), whatever the template ends answers with.
    Raises ConfigError: template_ambiguous (`llama`), template_for_media (LLaMA-Factory has it, for images and sound),
    template_removed (older LLaMA-Factory had it), unknown_template, unknown_tool_format.
    """
    if name is None or name == AUTO:
        return None
    names = shipped()
    if name not in names:
        raise ConfigError(_unknown(name, names))
    template = _load(name)
    if default_system is not None:
        template = replace(template, default_system=default_system)
    if tool_format is not None:
        if tool_format not in DIALECTS:
            params = {"tool_format": tool_format, "known": sorted(DIALECTS)}
            raise ConfigError(Problem("unknown_tool_format", params, key="tool_format"))
        ending: Slot = () if template.efficient_eos else (Special.EOS,)
        function = (CONTENT, *ending)
        template = replace(template, function=function, tools=tool_format, tool_format=tool_format)
    return template


def template_sha256(name: str | None) -> str | None:
    """Hex digest of what a named template holds, for the record of a run; None for the tokenizer's own."""
    if name is None or name == AUTO:
        return None
    return hashlib.sha256(repr(_load(name)).encode()).hexdigest()


def _unknown(name: str, names: tuple[str, ...]) -> Problem:
    lowered = name.lower()
    if lowered in _AMBIGUOUS:
        params = {"template": name, "candidates": " or ".join(_AMBIGUOUS[lowered]), "shipped": [AUTO, *names]}
        return Problem("template_ambiguous", params, key="template")
    others = _others()
    if name in others["media"]:
        return Problem("template_for_media", {"template": name}, key="template")
    if name in others["removed"]:
        params = {"template": name, "nearest": others["removed"][name]}
        return Problem("template_removed", params, key="template")
    nearest = get_close_matches(lowered, [AUTO, *names, *others["media"], *others["removed"]], n=3)
    params = {"template": name, "nearest": nearest, "shipped": [AUTO, *names]}
    return Problem("unknown_template_near" if nearest else "unknown_template", params, key="template")


def _folder() -> Any:
    return files("templates") / "chat"


@cache
def _families() -> dict[str, str]:
    """The file of each template, without reading the files as YAML."""
    found = {}
    for entry in _folder().iterdir():
        if entry.name.endswith(".yaml"):
            found.update(dict.fromkeys(_NAME.findall(entry.read_text(encoding="utf-8")), entry.name))
    return found


@cache
def _others() -> dict[str, Any]:
    """LLaMA-Factory's names that are not here: `media` a list, `removed` with what comes nearest."""
    raw: dict[str, Any] = yaml.safe_load((files("templates") / "other_chat_templates.yaml").read_text(encoding="utf-8"))
    return raw


@cache
def _read(file: str) -> dict[str, dict[str, Any]]:
    raw: dict[str, dict[str, Any]] = yaml.safe_load((_folder() / file).read_text(encoding="utf-8"))
    return raw


def _merged(file: str, name: str) -> dict[str, Any]:
    """The fields of a template with those of the one it is `like`, which stands in the same file."""
    own = _read(file)[name]
    return _merged(file, own["like"]) | own if "like" in own else own


@cache
def _load(name: str) -> Template:
    file = _families()[name]
    raw = _merged(file, name)
    fields = {key: value for key, value in raw.items() if key != "like"}
    fields.setdefault("function", fields["assistant"])
    fields.setdefault("observation", fields["user"])
    for key in _SLOTS:
        fields[key] = _slot(fields.get(key, []))
    for key in ("stop_words", "thought_words", "tool_call_words"):
        if key in fields:
            fields[key] = tuple(fields[key])
    return Template(name=name, family=file.removesuffix(".yaml"), **fields)


def _slot(raw: str | list[str | dict[str, str]]) -> Slot:
    return tuple(_element(item) for item in ([raw] if isinstance(raw, str) else raw))


def _element(raw: str | dict[str, str]) -> Element:
    if isinstance(raw, str):
        return raw
    return Token(raw["token"]) if "token" in raw else Special(raw["special"])
