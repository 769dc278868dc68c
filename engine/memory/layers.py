"""A decoder layer by its sizes: the linear layers, norms and experts that an architecture puts together.

What transformers 5 builds for a config, checked against its modules for each family (tests/unit/test_memory_shape.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.memory.config_fields import Fields
from engine.memory.families import Family, NormKind

# What a linear layer reads: the normalised hidden states before attention or MLP, what attention gives, the product of
# gate and up, or something in between that is small (the ranks of DeepSeek's attention).
Reads = Literal["attention", "mixed", "mlp", "product", "inner"]


@dataclass(frozen=True)
class Linear:
    """A matrix (outputs, inputs) by the last part of its name."""

    name: str
    inputs: int
    outputs: int
    reads: Reads
    bias: bool = False

    @property
    def weights(self) -> int:
        """Elements of the matrix."""
        return self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """With its bias."""
        return self.weights + (self.outputs if self.bias else 0)


@dataclass(frozen=True)
class Experts:
    """Experts of a layer, as transformers keeps them: two tensors of three dimensions, no linear layers.

    parameters: of all of them and their router; chosen: how many a token goes through; width: of one.
    """

    count: int
    chosen: int
    hidden: int
    width: int
    parameters: int


@dataclass(frozen=True)
class Layer:
    """One decoder layer. q, k, v: widths of all heads together; window: 0 sees everything; norms: parameters of all

    norms of the layer; around: norms over the hidden states in it; head_norms: whether q and k are normalised; views:
    q and k are turned into new tensors while v stays a view of all three; spelled_out: its activation is written in
    elementary operations (gelu_new), each of which keeps something; dropout: of attention; capped: its scores.
    """

    linears: tuple[Linear, ...]
    norms: int
    around: int
    norm_kind: NormKind
    q: int
    k: int
    v: int
    gated: bool = True
    head_norms: bool = False
    window: int = 0
    views: bool = False
    spelled_out: bool = False
    dropout: float = 0.0
    capped: bool = False
    experts: Experts | None = None

    @property
    def parameters(self) -> int:
        """Of everything in it."""
        return (
            sum(one.parameters for one in self.linears) + self.norms + (self.experts.parameters if self.experts else 0)
        )


@dataclass(frozen=True)
class Sizes:
    """The widths that all layers of a model share."""

    hidden: int
    heads: int
    kv_heads: int
    head: int
    intermediate: int


def layer_of(family: Family, fields: Fields, sizes: Sizes, index: int, window: int) -> Layer:
    """Layer `index` of a model of this family."""
    experts, mlp = _mlp(family, fields, sizes, index)
    if family.experts == "deepseek":
        attention, norms, q, k, v = _latent_attention(fields, sizes)
    else:
        attention, norms, q, k, v = _attention(family, fields, sizes)
    each = (sizes.hidden if family.norm_weight else 0) + (sizes.hidden if family.norm_bias else 0)
    return Layer(
        linears=(*attention, *mlp),
        norms=norms + each * family.norms,
        around=family.norms,
        norm_kind=family.norm_kind,
        q=q,
        k=k,
        v=v,
        gated=family.gated,
        head_norms=bool(norms) and family.experts != "deepseek",
        window=window,
        views=bool(family.fused_qkv) and family.rotary,
        spelled_out=fields.text("hidden_act", fields.text("activation_function", family.activation)) == "gelu_new",
        dropout=fields.number("attention_dropout") or fields.number("attn_pdrop") or 0.0,
        capped=bool(fields.number("attn_logit_softcapping")),
        experts=experts,
    )


def _switch(fields: Fields, setting: bool | str) -> bool:
    return setting if isinstance(setting, bool) else fields.flag(setting)


def _attention(family: Family, fields: Fields, sizes: Sizes) -> tuple[tuple[Linear, ...], int, int, int, int]:
    """(its linear layers, parameters of its norms, widths of q, k and v)."""
    hidden, q, kv = sizes.hidden, sizes.heads * sizes.head, sizes.kv_heads * sizes.head
    bias, out_bias = _switch(fields, family.qkv_bias), _switch(fields, family.o_bias)
    if family.fused_qkv:
        into: tuple[Linear, ...] = (Linear(family.fused_qkv, hidden, q + 2 * kv, "attention", bias),)
    else:
        widths = {"q_proj": q, "k_proj": kv, "v_proj": kv}
        into = tuple(Linear(name, hidden, width, "attention", bias) for name, width in widths.items())
    norms = 0
    if family.head_norms == "head":
        norms = 2 * sizes.head
    elif family.head_norms == "all" or (family.head_norms == "use_qk_norm" and fields.flag("use_qk_norm")):
        norms = q + kv  # cohere: a weight for each head, too
    return (*into, Linear(family.names[0], q, hidden, "mixed", out_bias)), norms, q, kv, kv


def _latent_attention(fields: Fields, sizes: Sizes) -> tuple[tuple[Linear, ...], int, int, int, int]:
    """DeepSeek's: q and kv through small ranks."""
    hidden, heads = sizes.hidden, sizes.heads
    rotary, plain = fields.count("qk_rope_head_dim", 64), fields.count("qk_nope_head_dim", 128)
    value, rank = fields.count("v_head_dim", 128), fields.count("kv_lora_rank", 512)
    q_rank = fields.count("q_lora_rank", 0)
    bias = fields.flag("attention_bias")
    q = heads * (rotary + plain)
    into = (
        (Linear("q_a_proj", hidden, q_rank, "attention", bias), Linear("q_b_proj", q_rank, q, "inner"))
        if q_rank
        else (Linear("q_proj", hidden, q, "attention"),)
    )
    linears = (
        *into,
        Linear("kv_a_proj_with_mqa", hidden, rank + rotary, "attention", bias),
        Linear("kv_b_proj", rank, heads * (plain + value), "inner"),
        Linear("o_proj", heads * value, hidden, "mixed", bias),
    )
    return linears, q_rank + rank, q, q, heads * value


def _mlp(family: Family, fields: Fields, sizes: Sizes, index: int) -> tuple[Experts | None, tuple[Linear, ...]]:
    """(experts, linear layers) of the second half of a layer."""
    hidden, width = sizes.hidden, sizes.intermediate
    bias = _switch(fields, family.mlp_bias)
    _, up, down = family.names
    if family.experts == "mixtral":
        count = fields.count("num_local_experts", 8)
        return _experts(hidden, width, count, fields.count("num_experts_per_tok", 2)), ()
    if family.experts == "qwen" and _is_sparse(fields, index):
        own = fields.count("moe_intermediate_size")
        count = fields.count("num_experts")
        shared = fields.count("shared_expert_intermediate_size", 0, least=0)
        extra = (*gated(hidden, shared), Linear("shared_expert_gate", hidden, 1, "mlp")) if shared else ()
        return _experts(hidden, own, count, fields.count("num_experts_per_tok", 4)), extra
    if family.experts == "deepseek" and index >= fields.count("first_k_dense_replace", 0, least=0):
        own = fields.count("moe_intermediate_size")
        count = fields.count("n_routed_experts")
        shared = fields.count("n_shared_experts", 0, least=0)
        extra = gated(hidden, own * shared) if shared else ()
        return _experts(hidden, own, count, fields.count("num_experts_per_tok", 6)), extra
    if not family.gated:
        return None, (Linear(up, hidden, width, "mlp", bias), Linear(down, width, hidden, "product", bias))
    return None, gated(hidden, width, bias, fused=family.fused_gate_up)


def gated(hidden: int, width: int, bias: bool = False, *, fused: bool = False) -> tuple[Linear, ...]:
    """The linear layers of a gated MLP."""
    if fused:
        into: tuple[Linear, ...] = (Linear("gate_up_proj", hidden, 2 * width, "mlp", bias),)
    else:
        into = tuple(Linear(name, hidden, width, "mlp", bias) for name in ("gate_proj", "up_proj"))
    return (*into, Linear("down_proj", width, hidden, "product", bias))


def _experts(hidden: int, width: int, count: int, chosen: int) -> Experts:
    """Gate, up and down of each, and a router."""
    return Experts(count, min(chosen, count), hidden, width, count * 3 * hidden * width + count * hidden)


def _is_sparse(fields: Fields, index: int) -> bool:
    """Qwen's rule for which layers have experts."""
    every = fields.count("decoder_sparse_step", 1)
    return index not in fields.items("mlp_only_layers") and (index + 1) % every == 0
