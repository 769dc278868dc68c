"""Is the packed step the model's own loss? Asked of the user's model with the user's samples, before step 1."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from engine.text import Phrase
from engine.train import attention
from engine.train.attention import packed_rows
from engine.train.packing import IGNORED, Tokens, packed_inputs
from engine.train.random_state import RandomState

_UNKNOWN_TERMS = Phrase("its attention has terms that the kernel does not know")
# Largest difference of a sample's mean loss, relative to the loss; sums are rounded to the compute dtype.
TOLERANCE = {torch.float32: 2e-4, torch.bfloat16: 2e-2, torch.float16: 1e-2}
CHECK_TOKENS = 1024  # about as many tokens as one check may cost, unless a window is longer


@dataclass(frozen=True)
class SelfCheck:
    """The outcome: whether packed rows may be used, the largest relative loss difference, and why not."""

    packed: bool
    difference: float | None
    reason: Phrase | None = None


def suitable(model: torch.nn.Module, passed: dict[str, Any]) -> Phrase | None:
    """Why this model or config must take padded micro-batches; None where packed rows may be tried."""
    config = model.config.get_text_config()
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    if getattr(model, "_is_stateful", False):
        return Phrase("recurrent layers carry state from one sample to the next")
    if layers - {"full_attention", "sliding_attention"}:
        others = sorted(layers - {"full_attention", "sliding_attention"})
        return Phrase("layers of type {types}", {"types": ", ".join(others)})
    if not getattr(model, "_supports_sdpa", True):
        return _UNKNOWN_TERMS
    if getattr(config, "output_router_logits", False):
        return Phrase("the router's loss does not add up over micro-batches")
    for key in ("neftune_noise_alpha", "use_liger_kernel", "torch_compile"):
        if passed.get(key):
            return Phrase("{key} is set", {"key": key})
    return None


def check(
    model: torch.nn.Module,
    samples: list[Tokens],
    device: torch.device,
    autocast: torch.dtype | None,
    longest: int | None = None,
) -> SelfCheck:
    """Losses of a few samples, packed in one row and one by one through the model's plain forward, without gradients.

    longest: tokens of the longest sample to be trained on; None where that is not known. The random state is put back.
    Two samples share a row, the longest last, and one is longer than the window where any sample of the data is.
    """
    chosen = _choose(samples, _window(model), longest)
    if not any(bool((sample.labels[1:] != IGNORED).any()) for sample in chosen):
        return SelfCheck(False, None, Phrase("no sample with a label to compare by"))
    model.eval()
    mixed = torch.autocast(device.type, autocast) if autocast else contextlib.nullcontext()
    attention.seen = attention.Seen()
    before = RandomState.now(device)
    try:
        with torch.no_grad(), mixed:
            on_device = [sample.to(device) for sample in chosen]
            with packed_rows():
                packed = model(**packed_inputs(on_device), per_token=True)
            plain = [_plain_losses(model, sample) for sample in on_device]
            mine = packed["losses"].split([len(losses) for losses in plain])
            pairs = [(one.mean(), other.mean()) for one, other in zip(mine, plain, strict=True) if len(other)]
            pairs.append((packed["loss"] / len(packed["losses"]), torch.cat(plain).mean()))
            # torch's max, since Python's loses a NaN
            differences = [(one - other).abs() / other.abs().clamp(min=1e-3) for one, other in pairs]
            worst = float(torch.stack(differences).max())
    finally:
        before.put_back()
        model.train()
    return _judge(model, worst, autocast or next(model.parameters()).dtype, longest)


def _judge(model: torch.nn.Module, worst: float, compute: torch.dtype, longest: int | None) -> SelfCheck:
    config, seen = model.config.get_text_config(), attention.seen
    if seen.calls < config.num_hidden_layers:
        return SelfCheck(False, worst, Phrase("its attention does not go through the shared interface"))
    if seen.unknown:
        terms = ", ".join(sorted(seen.unknown))
        return SelfCheck(False, worst, Phrase("{reason}: {terms}", {"reason": _UNKNOWN_TERMS, "terms": terms}))
    window = _window(model)
    if window and (longest is None or window < longest) and seen.windows == {0}:
        return SelfCheck(False, worst, Phrase("its attention window is only in the mask"))
    if not worst <= TOLERANCE.get(compute, 2e-2):  # also when it is NaN
        return SelfCheck(False, worst, Phrase("the losses differ"))
    return SelfCheck(True, worst)


def _choose(samples: list[Tokens], window: int, longest: int | None) -> list[Tokens]:
    """Two short samples, the second labelled, and, where it is needed or cheap, a long one, the longest last."""
    by_length = sorted(samples, key=lambda s: len(s.ids))
    labelled = [s for s in by_length if bool((s.labels[1:] != IGNORED).any())]
    if len(labelled) > 1:
        chosen = [labelled[len(labelled) // 3], labelled[0]]
    else:  # what comes first can leak into the second with or without a label of its own
        chosen = [s for s in by_length if all(s is not one for one in labelled)][:1] + labelled
    enough = window + window // 4 + 2  # at window + 1 no position that predicts a token is past the window yet
    room = max(CHECK_TOKENS - sum(len(s.ids) for s in chosen), enough)
    over = [s for s in labelled if window and len(s.ids) >= enough]
    if window and longest is not None and longest > window and not over and labelled:
        over = [_joined(labelled, enough)]  # the long samples are further down in the data
    longer = [s for s in labelled if len(s.ids) <= room]
    last = over[0] if over else longer[-1] if longer else None
    if last is not None and all(last is not s for s in chosen):
        chosen.append(last)
    return chosen


def _joined(samples: list[Tokens], length: int) -> Tokens:
    """One sample of `length` tokens, from the tokens of these over and over."""
    repeats = math.ceil(length / sum(len(s.ids) for s in samples))
    ids, labels = (torch.cat([getattr(s, name) for s in samples] * repeats)[:length] for name in ("ids", "labels"))
    return Tokens(ids, labels)


def _window(model: torch.nn.Module) -> int:
    """The smallest attention window that the config announces; 0 for none."""
    config = model.config.get_text_config()
    if getattr(config, "use_sliding_window", True) is False:
        return 0
    announced = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return min((size for size in announced if isinstance(size, int) and size > 0), default=0)


def _plain_losses(model: torch.nn.Module, sample: Tokens) -> torch.Tensor:
    """Loss of each labelled token through the model's own forward, (labelled,)."""
    logits = model(input_ids=sample.ids[None], use_cache=False).logits[0, :-1].float()
    targets = sample.labels[1:]
    kept = targets != IGNORED
    return F.cross_entropy(logits[kept], targets[kept], reduction="none")
