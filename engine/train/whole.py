"""What is saved of a trained model: an adapter, or the whole of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.storage import write_json


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
