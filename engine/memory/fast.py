"""The fast estimate: a closed form of what a step needs, from the sizes of a model. No torch, well below 5 ms.

    peak = what stays + the most of: forward up to the loss, the beginning of backward, backward of each layer, update

What stays are weights, what is trained with gradients and optimiser state. Activations add up in forward; in backward a
layer that recomputes has its own again, and every layer takes something in passing (activations.py, heads.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.memory.activations import NOTHING, LayerCosts, adapter_parameters, layer_costs
from engine.memory.allocator import CONTEXT, PROCESS, WORKSPACE
from engine.memory.heads import HeadCosts, head_costs
from engine.memory.job import WIDTH, Estimate, Parts, Recipe, StepPlan
from engine.memory.shape import ModelShape

# Of allocated bytes, against the trace: within 2 % for the families that were compared, up to 12 % where an
# architecture has experts or torch's LayerNorm, whose casts under autocast differ between CUDA and the processor.
ERROR, ROUGH = 0.05, 0.15
# What CUDA's caching allocator holds beyond what is in use: shares of what comes and goes, and of what stays. They are
# about what the model of it in allocator.py gives; not measured on a GPU.
FRAGMENTS, ROUNDED = 0.1, 0.01


@dataclass(frozen=True)
class StepCosts:
    """The affine pieces of a step. weights, trained: bytes that stay; update: what the optimiser takes in passing.

    layers: first to last; head; samples: how many a padded micro-batch has (pairs of tokens are those of a sample).
    """

    weights: int
    trained: int
    update: int
    layers: tuple[LayerCosts, ...]
    head: HeadCosts
    samples: int
    cuda: bool

    def parts(self, plan: StepPlan) -> Parts:
        """Where the memory goes at the peak of a step with this plan."""
        activations, head = max(self._moments(plan), key=sum)
        reserve = PROCESS
        if self.cuda:
            beyond = FRAGMENTS * (activations + head) + ROUNDED * (self.weights + self.trained)
            reserve = CONTEXT + WORKSPACE + round(beyond)
        return Parts(self.weights, self.trained, round(activations), round(head), reserve)

    def _moments(self, plan: StepPlan) -> Iterator[tuple[float, float]]:
        """(activations, head) where the peak may be."""
        tokens = plan.row_tokens
        again = max(0, min(plan.recompute, len(self.layers)))
        ahead = sum(layer.input for layer in self.layers[:again]) * tokens
        ahead += sum(self._kept(layer, tokens) for layer in self.layers[again:])
        kept = self.head.kept * tokens
        cached = sum(layer.cached for layer in self.layers[:again])
        yield ahead + cached, kept + self.head.at_forward(plan)
        yield ahead, kept + self.head.at_backward(plan)
        yield ahead + self.head.start * tokens, self.head.waiting
        for at in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[at]
            own = self._kept(layer, tokens) if at < again else 0.0
            yield ahead + own + layer.working * tokens + layer.passing, self.head.waiting
            ahead -= layer.input * tokens if at < again else self._kept(layer, tokens)
        yield self.head.last, self.head.waiting
        yield float(self.update), 0.0

    def _kept(self, layer: LayerCosts, tokens: int) -> float:
        return layer.kept * tokens + layer.per_pair * tokens * tokens / self.samples + layer.whole


def costs_of(shape: ModelShape, recipe: Recipe) -> StepCosts:
    """What a step of this model costs by this recipe, whatever its plan."""
    learning = learning_layers(len(shape.layers), recipe)
    # Below the first that learns no gradient passes, so nothing is kept.
    first = 0 if recipe.method == "lora" or recipe.trains_embedding else min(learning, default=len(shape.layers))
    known: dict[tuple[int, bool], LayerCosts] = {}
    layers = []
    for at, layer in enumerate(shape.layers):
        if at < first:
            layers.append(NOTHING)
            continue
        key = (hash(layer), at in learning)
        if key not in known:
            known[key] = layer_costs(layer, recipe, shape.hidden, shape.heads, at in learning)
        layers.append(known[key])
    trained = trained_parameters(shape, recipe)
    each = 2 * WIDTH[recipe.trained] + recipe.state
    return StepCosts(
        weights=weight_bytes(shape, recipe),
        trained=round(trained * each),
        update=round(trained * recipe.update),
        layers=tuple(layers),
        head=head_costs(shape, recipe),
        samples=1 if recipe.packed else recipe.micro_batch,
        cuda=recipe.kind == "cuda",
    )


def fast_estimate(shape: ModelShape, recipe: Recipe, plan: StepPlan) -> Estimate:
    """The estimate of a step. Its error is what was found against the trace, not on a GPU."""
    odd = any(layer.experts or layer.norm_kind == "layer" for layer in shape.layers)
    error = ROUGH if odd or shape.notes else ERROR
    return Estimate("fast", costs_of(shape, recipe).parts(plan), plan, error, notes=shape.notes)


def learning_layers(count: int, recipe: Recipe) -> range:
    """Layers whose own weights learn: engine/train/parts.py."""
    if recipe.method == "full":
        return range(count)
    if recipe.method == "lora" or not recipe.trained_layers:
        return range(0)
    many = recipe.trained_layers
    return range(max(0, count - many), count) if many > 0 else range(min(-many, count))


def trained_parameters(shape: ModelShape, recipe: Recipe) -> int:
    """Elements that learn."""
    if recipe.method == "full":
        return shape.parameters
    if recipe.method == "lora":
        own = sum(adapter_parameters(layer, recipe) for layer in shape.layers)
        if "lm_head" in recipe.targets:
            own += recipe.rank * (shape.hidden + shape.vocab)
    else:
        own = sum(shape.layers[at].parameters for at in learning_layers(len(shape.layers), recipe))
    return own + _saved(shape, recipe)


def _saved(shape: ModelShape, recipe: Recipe) -> int:
    """Elements of modules that are trained in full beside: embedding and head, each with a copy of its own."""
    embeds, heads = recipe.trains_embedding, "lm_head" in recipe.saved
    if recipe.method == "freeze" and shape.tied and embeds:
        heads = False  # one and the same
    return shape.embedding * (embeds + heads)


def weight_bytes(shape: ModelShape, recipe: Recipe) -> int:
    """Bytes of what does not learn."""
    width = WIDTH[recipe.base]
    if recipe.method == "full":
        return shape.unseen * width
    frozen = shape.parameters + shape.unseen
    if recipe.method == "freeze":
        return (frozen - trained_parameters(shape, recipe)) * width
    if not recipe.bits:
        return frozen * width
    if shape.quantised and shape.stored:
        return shape.stored
    packed = sum(one.weights for layer in shape.layers for one in layer.linears)
    rows = sum(one.outputs for layer in shape.layers for one in layer.linears)
    return round((frozen - packed) * width + packed_bytes(packed, rows, recipe))


def packed_bytes(weights: int, outputs: int, recipe: Recipe) -> float:
    """bitsandbytes: 4 bits and for each 64 weights a scale, fp32, or a byte with one in fp32 for each 256 of them; 8

    bits and a scale in fp32 for each output.
    """
    if recipe.bits == 8:
        return weights + 4 * outputs
    return weights * (0.5 + (1 / 64 + 4 / (64 * 256) if recipe.double else 4 / 64))
