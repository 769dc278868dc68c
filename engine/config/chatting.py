"""A config given to chat that neither trains nor merges: LLaMA-Factory's inference YAML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config.checking import check
from engine.config.jobs import absolute
from engine.config.reading import Document
from engine.config.schema import TrainConfig, fields
from engine.errors import Problem
from engine.text import Phrase

SAMPLING = ("do_sample", "temperature", "top_p", "top_k", "max_new_tokens", "repetition_penalty", "skip_special_tokens")
_USED = {
    "model_name_or_path",
    "model_revision",
    "cache_dir",
    "adapter_name_or_path",
    "adapter_folder",
    "template",
    "default_system",
    "enable_thinking",
    "preserve_thinking",
    "trust_remote_code",
    "use_cpu",
    "stage",
    "finetuning_type",
    *SAMPLING,
}
_BEAMS = ("num_beams", "length_penalty")


@dataclass(frozen=True)
class ChatConfig:
    """`config`: the file's keys with absolute paths. `sampling`: how answers are drawn, {} where it says nothing."""

    config: TrainConfig
    sampling: dict[str, Any]
    dtype: str | None
    notes: tuple[Problem, ...]
    secrets: dict[str, str]


def load_chat(document: Document, base: Path) -> ChatConfig:
    """Paths are relative to `base`. Raises ConfigError with every problem of the file."""
    values = dict(document.values)
    asked = values.pop("infer_dtype", None)
    # The same keys as in training, which needs two more.
    stand_in = {"dataset": "none", "output_dir": "none", **values}
    checked = absolute(check(Document(document.file, stand_in, document.lines), TrainConfig), base)
    notes = list(checked.notes)
    for name in values:
        if name in _BEAMS and values[name] != fields(TrainConfig)[name].default:
            reason = Phrase("answers appear while they are written, which beam search cannot")
            notes.append(_note(document, "key_no_effect", name, reason=reason))
        elif name in fields(TrainConfig) and name not in _USED and name not in _BEAMS:
            notes.append(_note(document, "key_other_command", name, command=Phrase("training")))
    dtype = asked if asked in ("float16", "bfloat16", "float32") else None
    if asked not in (None, "auto", dtype):
        notes.append(_note(document, "key_no_effect", "infer_dtype", reason=Phrase("there is no such number format")))
    return ChatConfig(checked.config, sampling(checked.config, values), dtype, tuple(notes), checked.secrets)


def sampling(config: TrainConfig, given: dict[str, Any]) -> dict[str, Any]:
    """How answers are drawn by LLaMA-Factory's generating keys, {} where none is given; temperature 0: likeliest."""
    if not any(name in given for name in SAMPLING):
        return {}
    found = {name: getattr(config, name) for name in SAMPLING}
    if not found.pop("do_sample"):
        found["temperature"] = 0.0
    if not found["max_new_tokens"]:
        found["max_new_tokens"] = config.max_length
    return found


def _note(document: Document, code: str, name: str, **params: Any) -> Problem:
    found = document.problem(code, name, **params)
    return Problem(found.code, found.params, found.key, found.file, found.line, severity="note")
