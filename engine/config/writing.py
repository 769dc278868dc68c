"""Configs as commented YAML: every key with what it does and the range people use. English, whatever the locale."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from engine.config.schema import fields, meta

WIDTH = 110


def commented(struct: type[msgspec.Struct], values: Mapping[str, Any], title: Iterable[str] = ()) -> str:
    """`values` in the table's order, each under a comment. Text is quoted only where YAML needs it."""
    lines = [f"# {line}" for line in title]
    for name in fields(struct):
        if name not in values:
            continue
        about = meta(struct, name)
        usual = (about.extra or {}).get("usual", "")
        text = about.description or ""
        lines += ["", *_wrapped(f"{text} Usual: {usual}." if usual else text)]
        lines += _pair(name, values[name])
    return "\n".join(lines).lstrip("\n") + "\n"


def scalar(value: Any) -> str:
    """One value as YAML that every parser reads alike, OmegaConf's and PyYAML's included."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int):
        return str(value)
    text = str(value)
    plain = re.fullmatch(r"[A-Za-z_./][\w./@+ -]*(?<! )", text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "none", ".inf", ".nan", "y", "n"}


def _pair(name: str, value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name}:", *(f"  {inner}: {scalar(found)}" for inner, found in value.items())]
    if isinstance(value, list | tuple):
        return [f"{name}:", *(f"  - {scalar(item)}" for item in value)]
    return [f"{name}: {scalar(value)}"]


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.1f}"
    text = repr(value)
    mantissa, e, exponent = text.partition("e")  # 1e-05 has no dot: PyYAML would read text
    if not e:
        return text
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{int(exponent):+03d}"


def _wrapped(text: str) -> list[str]:
    lines, line = [], "#"
    for word in text.split():
        if len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = "#"
        line += " " + word
    return [*lines, line]
