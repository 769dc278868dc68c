"""How the architectures that are known differ from Llama: one table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

NormKind = Literal["rms", "gemma", "layer", "cohere"]


@dataclass(frozen=True)
class Family:
    """How an architecture differs from Llama. Biases name the config's switch for them, or say yes or no.

    head_norms: per head (width of a head) or over all heads; norms: over the hidden states in a layer;
    grouped: several heads may share keys and values. activation: where the config is silent. embedding: its name.
    """

    qkv_bias: bool | str = False
    o_bias: bool | str = False
    mlp_bias: bool | str = False
    head_norms: Literal["", "head", "all"] | str = ""
    norms: int = 2
    norm_kind: NormKind = "rms"
    norm_bias: bool = False
    norm_weight: bool = True
    gated: bool = True
    fused_qkv: str = ""
    fused_gate_up: bool = False
    names: tuple[str, ...] = ("o_proj", "up_proj", "down_proj")
    experts: Literal["", "mixtral", "qwen", "deepseek"] = ""
    embedding_norm: bool = False
    head_bias: bool = False
    positions: bool = False
    grouped: bool = True
    rotary: bool = True
    activation: str = ""
    embedding: str = "embed_tokens"
    defaults: dict[str, Any] = field(default_factory=dict, hash=False)


_TIED = {"tie_word_embeddings": True}
_GPT: dict[str, Any] = dict.fromkeys(("norm_bias", "qkv_bias", "o_bias", "mlp_bias"), True)
_GPT |= {"norm_kind": "layer", "gated": False}
_OLD: dict[str, Any] = {**_GPT, "grouped": False}

FAMILIES: dict[str, Family] = {
    "llama": Family(qkv_bias="attention_bias", o_bias="attention_bias", mlp_bias="mlp_bias"),
    "mistral": Family(),
    "qwen2": Family(qkv_bias=True),
    "qwen3": Family(
        qkv_bias="attention_bias", o_bias="attention_bias", head_norms="head", defaults={"head_dim": 128}
    ),
    "gemma": Family(norm_kind="gemma", defaults={**_TIED, "head_dim": 256}),
    "gemma2": Family(
        norm_kind="gemma",
        norms=4,
        defaults={**_TIED, "head_dim": 256, "sliding_window": 4096, "final_logit_softcapping": 30.0,
                  "attn_logit_softcapping": 50.0},
    ),
    "gemma3_text": Family(
        norm_kind="gemma",
        norms=4,
        head_norms="head",
        defaults={
            **_TIED,
            "head_dim": 256,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "vocab_size": 262_208,
            "sliding_window": 4096,
        },
    ),
    "phi3": Family(fused_qkv="qkv_proj", fused_gate_up=True),
    "phi": Family(
        **{**_GPT, "norms": 1}, names=("dense", "fc1", "fc2"), activation="gelu_new", head_bias=True
    ),
    "glm": Family(qkv_bias="attention_bias", fused_gate_up=True, defaults={"head_dim": 128, "attention_bias": True}),
    "glm4": Family(
        qkv_bias="attention_bias", fused_gate_up=True, norms=4, defaults={"head_dim": 128, "attention_bias": True}
    ),
    "cohere": Family(
        qkv_bias="attention_bias", o_bias="attention_bias", norms=1, norm_kind="cohere", head_norms="use_qk_norm",
        defaults={**_TIED, "logit_scale": 0.0625},
    ),
    "cohere2": Family(
        qkv_bias="attention_bias", o_bias="attention_bias", norms=1, norm_kind="cohere",
        defaults={**_TIED, "logit_scale": 0.0625, "sliding_window": 4096},
    ),
    "granite": Family(qkv_bias="attention_bias", o_bias="attention_bias", mlp_bias="mlp_bias"),
    "olmo": Family(norm_kind="layer", norm_weight=False),
    "olmo2": Family(head_norms="all"),
    "smollm3": Family(
        qkv_bias="attention_bias", o_bias="attention_bias", mlp_bias="mlp_bias", defaults=_TIED
    ),
    "starcoder2": Family(
        **{**_GPT, "qkv_bias": "use_bias", "o_bias": "use_bias", "mlp_bias": "use_bias"},
        names=("o_proj", "c_fc", "c_proj"), defaults={**_TIED, "use_bias": True},
    ),
    "stablelm": Family(qkv_bias="use_qkv_bias", norm_kind="layer", norm_bias=True),
    "mixtral": Family(experts="mixtral"),
    "qwen2_moe": Family(qkv_bias="qkv_bias", experts="qwen", defaults={"qkv_bias": True}),
    "qwen3_moe": Family(
        qkv_bias="attention_bias", o_bias="attention_bias", head_norms="head", experts="qwen"
    ),
    "deepseek_v2": Family(experts="deepseek"),
    "deepseek_v3": Family(experts="deepseek"),
    "gpt2": Family(
        **_OLD, fused_qkv="c_attn", names=("c_proj", "c_fc", "c_proj"), positions=True,
        embedding="wte", rotary=False, activation="gelu_new", defaults={**_TIED, "attn_pdrop": 0.1},
    ),
    "gpt_neox": Family(
        **_OLD, embedding="embed_in", fused_qkv="query_key_value", names=("dense", "dense_h_to_4h", "dense_4h_to_h"),
    ),
    "bloom": Family(
        **_OLD, fused_qkv="query_key_value", names=("dense", "dense_h_to_4h", "dense_4h_to_h"),
        embedding="word_embeddings", rotary=False, embedding_norm=True, defaults=_TIED,
    ),
}  # fmt: skip
