"""What the hub would say of a model. Imports nothing heavy: the tests of light imports use it."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.memory.recommended import known_model


def model_facts(name: str) -> dict[str, Any]:
    """What the hub says of a recommended model; of any other name, what is known of the built-in one."""
    model = known_model(name) or known_model("smollm2-135m")
    assert model is not None
    facts = {"name": name, "here": False, "bytes": model.bytes}
    return facts | {"shape": msgspec.to_builtins(model.shape()), "unknown": []}
