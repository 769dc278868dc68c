"""What a decoder layer keeps for its backward, and what its backward takes beside, in bytes for each token.

Counted operation by operation, as autograd saves in transformers' modules with peft's adapters around the linear
layers. Widths are those of one element: c of what is calculated in, r of the hidden states between layers, a of what
the trained matrices take (c under autocast, else that of the trained weights).
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.memory.job import WIDTH, Recipe
from engine.memory.layers import Layer, Linear

EXACT = 4  # bytes of float32, in which norms, softmax and the loss are calculated


@dataclass(frozen=True)
class LayerCosts:
    """Of one layer. Per token: kept, by a layer that keeps its activations; input, by one that recomputes; working, the

    most that its backward needs beyond what is kept. per_pair: kept for each pair of tokens of a sample (a score,
    or a mask). whole: kept whatever the tokens (casts of weights), of which autocast remembers `cached` to the end of
    forward even where the layer recomputes; passing: in passing (an unpacked weight).
    """

    kept: float
    input: float
    working: float
    per_pair: float
    whole: float
    cached: float
    passing: float


NOTHING = LayerCosts(0, 0, 0, 0, 0, 0, 0)  # of a layer that no gradient passes


@dataclass(frozen=True)
class Widths:
    """See the module's docstring; base: of frozen weights; between: of the hidden states between layers."""

    compute: int
    between: int
    trained: int
    base: int
    autocast: bool
    cuda: bool

    @classmethod
    def of(cls, recipe: Recipe) -> Widths:
        """The widths of a recipe."""
        return cls(
            compute=WIDTH[recipe.compute],
            between=WIDTH[recipe.between],
            trained=WIDTH[recipe.trained],
            base=WIDTH[recipe.base],
            autocast=recipe.autocast is not None,
            cuda=recipe.kind == "cuda",
        )

    @property
    def adapted(self) -> int:
        """Of what a trained matrix takes."""
        return self.compute if self.autocast else self.trained


def layer_costs(layer: Layer, recipe: Recipe, hidden: int, heads: int, learns: bool) -> LayerCosts:
    """`learns`: its own weights are trained (full, freeze)."""
    w = Widths.of(recipe)
    attention = _attention(layer, recipe, w, heads)
    inputs = _inputs(layer, recipe, w, learns)
    norms = _norms(layer, w, hidden, learns)
    middle, middle_working = _mlp(layer, w, hidden, recipe, learns)
    kept = attention + inputs + norms + middle
    if recipe.dora:
        # The base's and the adapter's output, for the gradient of the magnitude.
        kept += sum(2 * w.adapted * one.outputs for one in adapted(layer, recipe))
    casts, cached, passing = _casts(layer, recipe, w, learns)
    return LayerCosts(
        kept=kept,
        input=w.between * hidden,
        working=max(middle_working, _attention_working(layer, recipe, w, hidden) - middle) + w.between * hidden,
        per_pair=_per_pair(layer, recipe, w, heads),
        whole=casts,
        cached=cached,
        passing=passing,
    )


def adapted(layer: Layer, recipe: Recipe) -> list[Linear]:
    """The linear layers of it that have an adapter."""
    return [one for one in layer.linears if one.name in recipe.targets] if recipe.method == "lora" else []


def adapter_parameters(layer: Layer, recipe: Recipe) -> int:
    """A (rank, inputs) and B (outputs, rank) of each; DoRA's magnitude, one for each output, beside."""
    found = adapted(layer, recipe)
    plain = sum(recipe.rank * (one.inputs + one.outputs) for one in found)
    return plain + (sum(one.outputs for one in found) if recipe.dora else 0) + _expert_adapters(layer, recipe)


def _expert_adapters(layer: Layer, recipe: Recipe) -> int:
    """peft takes gate_proj, up_proj and down_proj (Mixtral: w1, w3, w2) for the fused tensors of experts too.

    A and B of each expert; of gate and up together at the rank of both (peft/utils/transformers_weight_conversion.py).
    """
    if recipe.method != "lora" or layer.experts is None:
        return 0
    wide = sum(any(name in recipe.targets for name in names) for names in (("gate_proj", "w1"), ("up_proj", "w3")))
    down = any(name in recipe.targets for name in ("down_proj", "w2"))
    hidden, width = layer.experts.hidden, layer.experts.width
    return layer.experts.count * recipe.rank * (wide * (hidden + 2 * width) + down * (width + hidden))


def _norms(layer: Layer, w: Widths, hidden: int, learns: bool) -> float:
    """Each keeps its input in fp32: a cast of it, or the hidden state itself where that is fp32. torch's LayerNorm

    keeps it as it is, but autocast casts it. A weight that learns keeps what it multiplies.
    """
    if layer.norm_kind == "layer":
        each: float = EXACT if _layer_norm_casts(w) else w.between
    elif layer.norm_kind == "cohere":
        each = 2 * EXACT
    else:
        each = EXACT
    if learns and layer.norm_kind != "layer":
        each += EXACT if layer.norm_kind != "rms" else w.between
    around = layer.around * (each * hidden + EXACT)
    heads = (each * (layer.q + layer.k)) if layer.head_norms else 0.0
    return around + heads


def _inputs(layer: Layer, recipe: Recipe, w: Widths, learns: bool) -> float:
    """Inputs of linear layers that are kept since something learns from them.

    One tensor for all that read it, unless each makes its own: a cast to another dtype (peft's, or autocast's, which
    does not remember activations), or its own dropout with a mask (one byte by CUDA's kernel, else an element).
    """
    wanted = layer.linears if learns else adapted(layer, recipe)
    seen: set[str] = set()
    total = 0.0
    for one in wanted:
        arrives = _arrives(one, layer, w)
        if not learns:
            total += w.adapted * recipe.rank  # what A gives, for B
        if recipe.dropout and not learns:
            before = arrives if w.autocast else w.adapted
            mask = 1 if recipe.kind == "cuda" else before
            total += (w.adapted + mask) * one.inputs
        elif arrives != w.adapted:
            total += w.adapted * one.inputs
        elif one.reads == "inner" or _source(one, layer) not in seen:
            seen.add(_source(one, layer))
            free = one.reads == "mixed" and recipe.attention == "varlen"  # the kernel keeps its output already
            total += 0 if free else w.adapted * one.inputs
    return total


def _source(one: Linear, layer: Layer) -> str:
    """What it reads; with a single norm, attention and MLP are side by side and read the same."""
    return "attention" if one.reads == "mlp" and layer.around == 1 else one.reads


def _layer_norm_casts(w: Widths) -> bool:
    """CUDA's autocast runs layer_norm in fp32, the processor's does not (pytorch's lists of autocast operations)."""
    return w.autocast and w.cuda


def _arrives(one: Linear, layer: Layer, w: Widths) -> int:
    """The width in which its input arrives: norms give the hidden states' dtype, everything else what is computed."""
    if one.reads in ("attention", "mlp"):
        return EXACT if layer.norm_kind == "layer" and _layer_norm_casts(w) else w.between
    return w.compute


def _attention(layer: Layer, recipe: Recipe, w: Widths, heads: int) -> float:
    """Flash kernels keep q, k, v, their output and a log-sum-exp; eager attention q, k and v. A mask (padding) makes

    transformers repeat k and v for all heads.
    """
    repeats = 1 if recipe.packed or recipe.attention == "varlen" else layer.q // max(1, layer.k)
    given = layer.q + repeats * (layer.k + layer.v)
    if layer.views and recipe.attention == "sdpa":
        given += layer.q + layer.k
    if recipe.attention == "eager":
        return w.compute * given
    return w.compute * (given + _output(layer)) + EXACT * heads


def _output(layer: Layer) -> int:
    return next((one.inputs for one in layer.linears if one.reads == "mixed"), layer.q)


def _per_pair(layer: Layer, recipe: Recipe, w: Widths, heads: int) -> float:
    """Eager: softmax in fp32 and its cast, for each head. A window that torch's kernel does not know: a mask of bytes

    and its cast to the dtype of the scores.
    """
    if recipe.attention == "eager":
        return heads * (EXACT + (w.compute if w.compute < EXACT else 0) + (w.compute if layer.capped else 0))
    if recipe.attention == "sdpa" and layer.dropout and not w.cuda:
        return heads * 3 * w.compute  # no kernel for it: scores, what is dropped of them, and what is left
    if recipe.attention == "sdpa" and layer.window:
        return 1 + w.compute
    return 0.0


def _mlp(layer: Layer, w: Widths, hidden: int, recipe: Recipe, learns: bool) -> tuple[float, float]:
    """(kept beside inputs of linear layers, working).

    Gated: the activation's input, its output and what it is multiplied with. Not gated: the activation's input.
    Backward of the product: gradients of all three are there at once, while the product itself, kept for `down`, is
    gone; a layer of experts does the same for the tokens that each got, and keeps those and what it gives.
    """
    down = next((one for one in layer.linears if one.reads == "product"), None)
    kept = working = 0.0
    if down is not None:
        kept = w.compute * down.inputs * ((3 if layer.gated else 1) + (3 if layer.spelled_out else 0))
        remembered = learns or down.name in recipe.targets
        working = w.compute * down.inputs * ((3 if layer.gated else 2) - (1 if remembered else 0))
    if layer.experts:
        chosen, width = layer.experts.chosen, layer.experts.width
        kept += w.compute * chosen * (3 * width + hidden)
        working += w.compute * chosen * (3 * width + 2 * hidden)
    return kept, working


def _attention_working(layer: Layer, recipe: Recipe, w: Widths, hidden: int) -> float:
    """Backward of attention: the gradients of its output, q, k and v; FlashAttention 2 on CUDA accumulates that of q in

    fp32 and, where heads share keys, makes those of k and v for each head first (flash_api.cpp, mha_varlen_bwd).
    """
    grads = w.compute * (2 * _output(layer) + layer.q + layer.k + layer.v)
    if recipe.attention == "varlen":
        grads += EXACT * layer.q + (2 * w.compute * layer.q if layer.k < layer.q else 0)
    return grads + w.between * hidden


def _casts(layer: Layer, recipe: Recipe, w: Widths, learns: bool) -> tuple[float, float, float]:
    """(kept, the part of it that autocast remembers, in passing) copies of weights.

    What autocast casts is kept for backward; it remembers casts of what learns. In passing: an unpacked quantised
    weight, and the gradient of the largest trained matrix beside the sum that it is added to.
    """
    weights = [one.weights for one in layer.linears]
    largest = max(weights, default=0)
    frozen = cached = passing = 0.0
    if w.autocast and w.trained != w.compute:
        cached = w.compute * (sum(weights) if learns else adapter_parameters(layer, recipe))
    if w.autocast and not learns and not recipe.bits and w.base != w.compute:
        frozen = w.compute * sum(weights)
    if layer.experts and _expert_adapters(layer, recipe):
        frozen += w.compute * layer.experts.parameters  # base and adapter added up, for all experts at once
        passing += w.compute * layer.experts.parameters
    if recipe.bits:
        passing += w.compute * largest
    if learns:
        passing += (w.compute + w.trained) * largest
    if recipe.dora:
        passing += 2 * EXACT * largest
    return cached + frozen, cached, passing
