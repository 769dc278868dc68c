"""Tiny configs of six architectures, and a recipe to start from."""

from __future__ import annotations

from typing import Any

from engine.memory.job import Recipe

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SMALL = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 512,
    "max_position_embeddings": 4096,
    "pad_token_id": 0,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "mistral": {"sliding_window": None},
    "gemma3_text": {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 64},
    "phi3": {},
}


def config_of(kind: str, **changes: Any) -> dict[str, Any]:
    """A tiny config.json."""
    return {"model_type": kind, **SMALL, **ARCHITECTURES[kind], **changes}


def recipe_of(**changes: Any) -> Recipe:
    """LoRA on all linear layers in fp32 on the processor, unless changed."""
    values: dict[str, Any] = {
        "kind": "cpu", "method": "lora", "base": "float32", "bits": None, "double": False, "autocast": None,
        "trained": "float32", "rank": 8, "dropout": 0.0, "dora": False, "targets": TARGETS, "saved": (),
        "trained_layers": 0, "state": 8.0, "packed": True, "micro_batch": 1, "attention": "sdpa",
    }  # fmt: skip
    return Recipe(**{**values, **changes})
