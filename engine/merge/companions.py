"""The small files of a model folder: configuration, tokenizer, chat template."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "vocab.txt", "merges.txt", "chat_template.jinja", "chat_template.json", "*.model", "*.tiktoken",
)  # fmt: skip
_PROCESSOR = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
GENERATION = "generation_config.json"
MODELFILE = "Modelfile"  # for Ollama


def copy_companions(base: Path, tokenizer_from: Path | None, out: Path) -> None:
    """Copy custom code from `base`; tokenizer, chat template and processor files from `tokenizer_from` when it holds a
    tokenizer, else from `base`. Processor files and generation_config.json fall back to `base` one by one.
    """
    source = tokenizer_from if tokenizer_from and _matching(tokenizer_from, ("tokenizer*.json", "*.model")) else base
    _copy(_matching(base, (*_PROCESSOR, GENERATION, "*.py")), out)
    _copy(_matching(source, (*_TOKENIZER, *_PROCESSOR, GENERATION)), out)
    templates = source / "additional_chat_templates"
    if templates.is_dir():
        shutil.copytree(templates, out / templates.name, copy_function=shutil.copyfile)


def write_config(base: Path, out: Path, *, untied: bool, dtype: str | None, vocabulary: int | None = None) -> None:
    """Copy config.json byte for byte, unless the merge changed what it says of tying, dtype or vocabulary."""
    text = (base / "config.json").read_bytes()
    if not untied and dtype is None and vocabulary is None:
        (out / "config.json").write_bytes(text)
        return
    config = json.loads(text)
    for part in (config, config.get("text_config")):
        if isinstance(part, dict):
            _adjust(part, untied=untied, dtype=dtype, top=part is config)
            if vocabulary is not None and "vocab_size" in part:
                part["vocab_size"] = vocabulary
    (out / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _adjust(config: dict[str, Any], *, untied: bool, dtype: str | None, top: bool) -> None:
    if untied and (top or "tie_word_embeddings" in config):
        config["tie_word_embeddings"] = False
    if dtype is not None:
        named = [key for key in ("dtype", "torch_dtype") if key in config] or (["dtype"] if top else [])
        config.update(dict.fromkeys(named, dtype))


def _matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]


def _copy(files: list[Path], out: Path) -> None:
    for path in files:
        shutil.copyfile(path, out / path.name)
