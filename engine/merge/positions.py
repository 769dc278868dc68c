"""Positions that training stretched: the merged model's configuration says so, and the proof runs on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.outputs import adapter_marker
from engine.storage import write_json

CONFIG = "config.json"


def stretched_base(base: Path, adapter: Path, folder: Path) -> Path:
    """The base as the adapter was trained on it: `base` itself, or the new folder `folder` of links to its files beside
    a config.json that has the positions of training (rope_scaling).
    """
    marker = adapter_marker(adapter)
    if not (marker and marker.positions):
        return base
    folder.mkdir()
    for path in base.iterdir():
        if path.name != CONFIG:
            (folder / path.name).symlink_to(path.absolute())
    write_json(folder / CONFIG, with_positions(json.loads((base / CONFIG).read_bytes()), marker.positions), mode=0o644)
    return folder


def with_positions(config: dict[str, Any], positions: dict[str, Any]) -> dict[str, Any]:
    """config.json's object with `positions` in it, in the words that it has already: transformers 5's rope_parameters,
    or rope_scaling beside rope_theta as before.
    """
    if isinstance(config.get("text_config"), dict):
        return config | {"text_config": with_positions(config["text_config"], positions)}
    rope = dict(positions["rope_parameters"])
    changed = {"max_position_embeddings": positions["max_position_embeddings"]}
    if "rope_parameters" in config:
        return config | changed | {"rope_parameters": rope}
    apart = {name: rope.pop(name) for name in ("rope_theta", "partial_rotary_factor") if name in rope}
    return config | changed | apart | {"rope_scaling": rope}
