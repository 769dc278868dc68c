"""What is saved of a trained model: an adapter, or the whole of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.storage import write_json, write_whole


def is_adapter(model: Any) -> bool:
    """Whether what is saved is an adapter, not a whole model."""
    return hasattr(model, "peft_config") and hasattr(model, "get_base_model")


def allow_cache(folder: Path) -> None:
    """The cache is off while training only: whoever serves a saved whole model wants it."""
    file = folder / "config.json"
    if not file.exists():
        return
    config = json.loads(file.read_text(encoding="utf-8"))
    changed = False
    for part in (config, config.get("text_config")):
        if isinstance(part, dict) and part.get("use_cache") is False:
            part["use_cache"] = changed = True
    if changed:
        write_json(file, config, mode=0o644)


def name_base(folder: Path, name: str) -> None:
    """Call the base model by `name` in a saved adapter, and list its modules in an order that never changes.

    While saving, peft must know the base by its folder: it would ask the hub for a name, each time. Its modules are a
    set, whose order is another in every process: the same run would not write the same file.
    """
    file = folder / "adapter_config.json"
    if not name or not file.exists():
        return
    config = json.loads(file.read_text(encoding="utf-8"))
    before, config["base_model_name_or_path"] = config["base_model_name_or_path"], name
    if isinstance(config.get("target_modules"), list):
        config["target_modules"].sort()
    write_json(file, config, mode=0o644)
    card = folder / "README.md"
    if before and card.exists():
        write_whole(card, card.read_text(encoding="utf-8").replace(before, name), mode=0o644)
