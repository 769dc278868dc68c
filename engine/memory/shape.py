"""What a model is by its sizes, from its config.json alone: layers, widths, parameters. No torch.

Stored bytes come from the safetensors headers where the folder is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, Problem
from engine.memory.config_fields import Fields
from engine.memory.families import FAMILIES, Family
from engine.memory.job import Dtype
from engine.memory.layers import Layer, Sizes, layer_of
from engine.models import read_json, safetensors_header, weight_files
from engine.text import Phrase

DEEPEST = 1000  # layers
_TEXTS = {"gemma3": "gemma3_text"}  # a model that also sees: the family of its language model
_NAMES: dict[str, Dtype] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16", "F64": "float32"}
_DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class ModelShape:
    """A causal LM by its sizes, all widths in elements.

    layers: first to last; other: parameters outside of the layers, the embedding and the head (final norm, position
    table). dtype: that of the weights. adjusted: logits are capped or scaled; capped: the former. stateful: recurrent.
    sdpa: attention without terms that torch's kernel does not know. router_loss: it adds a loss of its router.
    quantised: by what the checkpoint is quantised already, "" if it is not, and its bits. dropout: of attention.
    stored: bytes of the files, 0 where there are none; unseen: stored parameters beyond those of the language model (an
    image encoder). notes: what was guessed.
    """

    model_type: str
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    layers: tuple[Layer, ...]
    layer_types: tuple[str, ...]
    tied: bool
    head_bias: bool
    other: int
    dtype: Dtype
    adjusted: bool
    capped: bool
    stateful: bool
    sdpa: bool
    router_loss: bool
    quantised: str
    bits: int
    dropout: float
    embedding_name: str
    stored: int = 0
    unseen: int = 0
    notes: tuple[Phrase, ...] = ()

    @property
    def embedding(self) -> int:
        """Parameters of the embedding."""
        return self.vocab * self.hidden

    @property
    def head(self) -> int:
        """Parameters of an output head of its own; 0 where it is the embedding."""
        return (0 if self.tied else self.embedding) + (self.vocab if self.head_bias else 0)

    @property
    def parameters(self) -> int:
        """Of the whole causal LM, as transformers counts them."""
        return self.embedding + self.head + self.other + sum(layer.parameters for layer in self.layers)


def read_shape(folder: Path) -> ModelShape:
    """`shape_of` of a model folder, with what its files hold. Raises ConfigError as that does; weights_damaged."""
    shape = shape_of(read_json(folder / "config.json"), str(folder / "config.json"))
    size, count = 0, 0
    widths: dict[str, int] = {}
    for file in weight_files(folder):
        for tensor in safetensors_header(file).values():
            start, end = tensor["data_offsets"]
            elements = 1
            for length in tensor["shape"]:
                elements *= length
            size, count = size + end - start, count + elements
            widths[tensor["dtype"]] = widths.get(tensor["dtype"], 0) + elements
    if not size:
        return shape
    # transformers loads in the dtype that config.json announces, and in that of the file where it says nothing.
    most = _NAMES.get(max(widths, key=lambda name: widths[name]))
    announced = _announced(read_json(folder / "config.json"))
    unseen = 0 if shape.quantised else max(0, count - shape.parameters)
    return replace(shape, stored=size, unseen=unseen, dtype=announced or most or shape.dtype)


def shape_of(config: Mapping[str, Any], where: str = "config.json") -> ModelShape:
    """The model that a config.json describes; of one that also sees or hears, its language model.

    An unknown architecture is read as if it were like Llama, and a note says so. Raises ConfigError
    model_config_incomplete, which names the field that is missing or wrong.
    """
    inner = config.get("text_config")
    text = inner if isinstance(inner, Mapping) else config
    given = text.get("model_type") or config.get("model_type")
    kind = given if isinstance(given, str) else ""
    kind = _TEXTS.get(kind, kind)
    notes: list[Phrase] = []
    family = FAMILIES.get(kind)
    if family is None:
        named = Phrase("{model_type} is estimated as if it were like Llama", {"model_type": kind})
        notes.append(named if kind else Phrase("config.json names no model_type: estimated as if it were like Llama"))
        family = FAMILIES["llama"]
    if text is not config:
        notes.append(Phrase("only its language model is estimated from config.json"))
    fields = Fields(text, where, family.defaults)
    sizes = _sizes(family, fields)
    count = fields.count("num_hidden_layers")
    if count > DEEPEST:
        params = {"field": "num_hidden_layers", "reason": Phrase("it is {found}", {"found": count})}
        raise ConfigError(Problem("model_config_incomplete", params, "model_name_or_path", file=where))
    types = _layer_types(kind, fields, count)
    window = _window(kind, fields)
    layers = tuple(
        layer_of(family, fields, sizes, at, window if types[at] == "sliding_attention" else 0) for at in range(count)
    )
    tied = fields.flag("tie_word_embeddings", bool(config.get("tie_word_embeddings", False)))
    scale, divisor = fields.number("logit_scale"), fields.number("logits_scaling")
    cap = fields.number("final_logit_softcapping")
    quantised, bits = _quantised(config)
    return ModelShape(
        model_type=kind,
        hidden=sizes.hidden,
        heads=sizes.heads,
        kv_heads=sizes.kv_heads,
        head_dim=sizes.head,
        intermediate=sizes.intermediate,
        vocab=fields.count("vocab_size"),
        layers=layers,
        layer_types=types,
        tied=tied,
        head_bias=family.head_bias,
        other=_outside(family, fields, sizes),
        dtype=_announced(config) or "float32",
        adjusted=bool(cap) or scale not in (None, 1.0) or divisor not in (None, 1.0),
        capped=bool(cap),
        stateful=kind in ("mamba", "mamba2", "falcon_mamba", "rwkv", "recurrent_gemma"),
        sdpa=kind not in ("bloom", "gpt_oss") and not fields.number("attn_logit_softcapping"),
        router_loss=fields.flag("output_router_logits"),
        quantised=quantised,
        bits=bits,
        dropout=layers[0].dropout,
        embedding_name=family.embedding,
        notes=tuple(notes),
    )


def _sizes(family: Family, fields: Fields) -> Sizes:
    hidden, heads = fields.count("hidden_size"), fields.count("num_attention_heads")
    head = fields.count("head_dim", max(1, hidden // heads))
    kv_heads = fields.count("num_key_value_heads", heads) if family.grouped else heads
    return Sizes(hidden, heads, kv_heads, head, _intermediate(fields, hidden))


def _intermediate(fields: Fields, hidden: int) -> int:
    """GPT-2 need not say it and Bloom does not: four times the hidden width."""
    if fields.text("model_type") == "bloom":
        return 4 * hidden
    if fields.text("model_type") == "gpt2":
        return fields.count("intermediate_size", 4 * hidden)
    return fields.count("intermediate_size")


def _outside(family: Family, fields: Fields, sizes: Sizes) -> int:
    """Parameters outside of the layers, the embedding and the head."""
    norm = (sizes.hidden if family.norm_weight else 0) + (sizes.hidden if family.norm_bias else 0)
    table = fields.count("max_position_embeddings", 1024) * sizes.hidden if family.positions else 0
    return norm * (2 if family.embedding_norm else 1) + table


def _layer_types(kind: str, fields: Fields, count: int) -> tuple[str, ...]:
    """The type of each layer, as transformers fills it in where the file does not say."""
    given = fields.items("layer_types")
    if len(given) >= count and all(isinstance(one, str) for one in given):
        return tuple(given[:count])
    every = {"gemma3_text": 6, "gemma2": 2, "cohere2": 4}.get(kind, 0)
    if every:
        every = fields.count("sliding_window_pattern", every)
        return tuple("sliding_attention" if (at + 1) % every else "full_attention" for at in range(count))
    first = fields.count("max_window_layers", 0, least=0) if kind.startswith("qwen") else 0
    slides = _window(kind, fields) > 0
    return tuple("sliding_attention" if slides and at >= first else "full_attention" for at in range(count))


def _window(kind: str, fields: Fields) -> int:
    """Tokens that a sliding layer sees; 0 for none."""
    if kind.startswith("qwen") and not fields.flag("use_sliding_window"):
        return 0
    return fields.count("sliding_window", 0, least=0)


def _announced(config: Mapping[str, Any]) -> Dtype | None:
    """The dtype that config.json announces."""
    inner = config.get("text_config")
    for one in (config, inner if isinstance(inner, Mapping) else {}):
        for name in ("dtype", "torch_dtype"):
            found = str(one.get(name) or "").removeprefix("torch.")
            for dtype in _DTYPES:
                if found == dtype:
                    return dtype
    return None


def _quantised(config: Mapping[str, Any]) -> tuple[str, int]:
    """What the checkpoint itself is quantised with, and its bits; ("", 16) for nothing."""
    found = config.get("quantization_config")
    if not isinstance(found, Mapping):
        return "", 16
    eight = found.get("load_in_8bit") or found.get("bits") == 8 or found.get("quant_method") == "fp8"
    return str(found.get("quant_method") or "?"), 8 if eight else 4
