"""Configs as commented YAML: every key with what it does and the range people use. English, whatever the locale."""

from __future__ import annotations

import json
import math
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
    for name in values.keys() - fields(struct).keys():  # keys that pass through
        lines += ["", "# Passed on to transformers' TrainingArguments.", *_pair(name, values[name])]
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
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(name)}: {scalar(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(scalar, value)) + "]"
    text = str(value)
    plain = re.fullmatch(r"(?:[A-Za-z_/]|\.{1,2}/)[\w./@+ -]*(?<! )", text, re.ASCII) and text.lower() not in _WORDS
    if plain:
        return text
    return _UNPRINTABLE.sub(_escape, json.dumps(text, ensure_ascii=False))


# What YAML does not print, or folds as a line break; escaped as in JSON.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "none", "y", "n"}


def _pair(name: str, value: Any, indent: str = "") -> list[str]:
    name = scalar(name)
    if isinstance(value, Mapping) and value:
        return [f"{indent}{name}:", *(line for key, item in value.items() for line in _pair(key, item, indent + "  "))]
    if isinstance(value, list | tuple) and value:
        return [f"{indent}{name}:", *(f"{indent}  - {scalar(item)}" for item in value)]
    return [f"{indent}{name}: {scalar(value)}"]


def _number(value: float) -> str:
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
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
