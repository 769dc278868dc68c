"""What a model is, looked up for the wizard: from its folder, from the recommended ones, or, when asked, from the hub.

Runs in a process of its own. No torch: headers, config.json and the tokenizer's own JSON are enough.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import msgspec

from engine.builtin_model import is_builtin
from engine.errors import ConfigError
from engine.hub_refusals import asked
from engine.model_hub import card, hub_config
from engine.models import ModelFolder, find_model, read_json

CARD_LENGTH = 4000  # characters of a README.md
_LICENCE = re.compile(r"^license(?:_name)?:[ \t]*[\"']?([\w.+-]+)", re.MULTILINE)
# What a family writes around its turns, by the name that people know it under.
_FAMILIES = {
    "<|im_start|>": "ChatML",
    "<|start_header_id|>": "Llama 3",
    "<start_of_turn>": "Gemma",
    "[INST]": "Mistral",
    "<|header_start|>": "Llama 4",
    "<|start_of_role|>": "Granite",
    "<|channel|>": "Harmony",
}
_BASE = re.compile(r"(?:^|[-_.])(?:base|pt|pretrain(?:ed)?)(?:$|[-_.])", re.IGNORECASE)
_TUNED = re.compile(r"(?:^|[-_.])(?:instruct|chat|it|sft|dpo|thinking|assistant)(?:$|[-_.\d])", re.IGNORECASE)


def look(name: str, *, ask: bool = False) -> dict[str, Any]:
    """The facts of a model, as JSON. Raises ConfigError and EnvironmentProblem where there is none to be had.

    Without `ask` nothing is asked of the hub, and a model that is neither here nor recommended is not `known`.

    here: whether its weights are on this machine. bytes: of them. parameters, dtype, max_positions, model_type,
    licence: where they are known. gated: whether the hub asks for consent. template: the shipped one that is known to
    be its; own: whether it brings a chat template, `turns` names how that writes turns. tuned: instruct or base, None
    where nothing says. shape: its `ModelShape` as plain values; None where config.json does not say, `unknown` are then
    the problems.
    """
    from engine.memory.recommended import known_model

    found, known = find_model(name), known_model(name)
    facts: dict[str, Any] = {"name": name, "here": found is not None}
    if known is not None:
        facts |= {"licence": known.licence, "gated": known.gated, "template": known.template, "tuned": True}
    if found is not None:
        return facts | _of_folder(found, known is not None) | _shape(name)
    if known is None and not ask:
        with asked(name):  # what no hub can have is told at once
            return facts | {"known": False, "bytes": 0, "shape": None, "unknown": []}
    if known is None:
        return facts | _of_hub(name) | _shape(name)
    if ask and not is_builtin(name):  # that one has other ways to come here
        card(name)
    facts |= {"bytes": known.bytes, "parameters": known.parameters, "max_positions": known.context, "own": True}
    facts |= {"dtype": str(known.config.get("dtype", "")), "model_type": str(known.config.get("model_type", ""))}
    return facts | _shape(name)


def _of_folder(found: ModelFolder, known: bool) -> dict[str, Any]:
    text = own_template(found.path)
    facts: dict[str, Any] = {
        "bytes": found.bytes,
        "parameters": found.parameters,
        "dtype": found.dtype,
        "max_positions": found.max_positions,
        "model_type": found.model_type,
        "own": bool(text),
        "turns": family(text),
    }
    if not known:
        facts |= {"licence": _licence(found.path), "tuned": tuned(found.name, bool(text))}
    return facts


def _of_hub(name: str) -> dict[str, Any]:
    found = card(name)
    config = {}
    with contextlib.suppress(ConfigError):
        config = read_json(hub_config(name))
    inner = config.get("text_config") or config
    talks = bool(found.chat_template) or "conversational" in found.tags
    return {
        "bytes": found.bytes,
        "parameters": found.parameters,
        "dtype": found.dtype or str(config.get("dtype") or config.get("torch_dtype") or ""),
        "max_positions": inner.get("max_position_embeddings"),
        "model_type": str(config.get("model_type", "")),
        "licence": found.licence,
        "gated": found.gated,
        "own": bool(found.chat_template),
        "turns": family(found.chat_template),
        "tuned": tuned(name, talks),
    }


def _shape(name: str) -> dict[str, Any]:
    from engine.config.schema import TrainConfig
    from engine.memory.gathering import find_base
    from engine.memory.presets import FRAME

    found = find_base(TrainConfig(**FRAME | {"model_name_or_path": name}))
    problems = [problem.as_dict() for problem in found.problems if problem.severity == "error"]
    return {"shape": msgspec.to_builtins(found.shape) if found.shape else None, "unknown": problems}


def own_template(folder: Path) -> str:
    """The chat template that a model's tokenizer brings; empty where there is none that can be read."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    for file in ("tokenizer_config.json", "chat_template.json"):
        with contextlib.suppress(ConfigError):
            said = read_json(folder / file).get("chat_template")
            if isinstance(said, list):  # several, by name
                said = next((one.get("template") for one in said if isinstance(one, dict)), "")
            if said:
                return str(said)
    return ""


def family(template: str) -> str:
    """How a chat template writes turns; empty where it is none of the usual ways."""
    return next((name for mark, name in _FAMILIES.items() if mark in template), "")


def tuned(name: str, talks: bool) -> bool | None:
    """Whether a model was tuned to answer. Its name counts first: some base models bring a chat template as well."""
    short = name.rpartition("/")[2]
    if _BASE.search(short):
        return False
    return True if talks or _TUNED.search(short) else None


def _licence(folder: Path) -> str:
    """As the model card in its folder says; empty where there is none."""
    with contextlib.suppress(OSError), (folder / "README.md").open(encoding="utf-8", errors="replace") as stream:
        head = stream.read(CARD_LENGTH).partition("---\n")[2].partition("\n---")[0]
        if found := _LICENCE.search(head):
            return found.group(1)
    return ""
