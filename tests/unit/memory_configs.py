"""config.json files of real models, written by hand, and those of other families at plausible sizes. No weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "data" / "configs"
REAL: dict[str, dict[str, Any]] = {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}

_LLAMA = {
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 7,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
    "pad_token_id": 0,
}
_EXPERTS = {"moe_intermediate_size": 352, "num_experts_per_tok": 4}
FAMILIES: dict[str, dict[str, Any]] = {
    kind: {"model_type": kind, **_LLAMA, **more}
    for kind, more in {
        "qwen3": {"head_dim": 128, "tie_word_embeddings": True},
        "gemma": {"head_dim": 256, "num_key_value_heads": 1},
        "gemma2": {"head_dim": 256},
        "phi3": {"num_key_value_heads": 16},
        "phi": {"num_key_value_heads": 16},
        "glm": {"head_dim": 128, "attention_bias": True},
        "glm4": {"head_dim": 128, "attention_bias": True},
        "cohere": {"use_qk_norm": True},
        "cohere2": {},
        "granite": {"logits_scaling": 8.0, "attention_bias": True, "mlp_bias": True},
        "olmo": {},
        "olmo2": {},
        "smollm3": {},
        "starcoder2": {"use_bias": True},
        "stablelm": {},
        "mixtral": {"num_local_experts": 4},
        "qwen2_moe": {**_EXPERTS, "num_experts": 8, "shared_expert_intermediate_size": 704, "decoder_sparse_step": 2},
        "qwen3_moe": {**_EXPERTS, "num_experts": 8, "mlp_only_layers": [1], "head_dim": 128},
        "deepseek_v2": {
            **_EXPERTS,
            "n_routed_experts": 8,
            "n_shared_experts": 2,
            "first_k_dense_replace": 1,
            "q_lora_rank": None,
            "kv_lora_rank": 256,
            "qk_nope_head_dim": 64,
            "qk_rope_head_dim": 32,
            "v_head_dim": 48,
            "head_dim": 32,
        },
        "deepseek_v3": {
            **_EXPERTS,
            "n_routed_experts": 8,
            "n_shared_experts": 1,
            "first_k_dense_replace": 3,
            "q_lora_rank": 384,
            "kv_lora_rank": 256,
            "qk_nope_head_dim": 64,
            "qk_rope_head_dim": 32,
            "v_head_dim": 64,
            "n_group": 2,
            "topk_group": 1,
        },
        "gpt_neox": {},
        "bloom": {},
    }.items()
}
FAMILIES["gpt2"] = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257}
