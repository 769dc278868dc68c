"""Samples of one optimiser step to as few rows as a token budget allows, and a row as the model takes it."""

from __future__ import annotations

import types
from typing import Any, NamedTuple

import torch

from engine.train.attention import Row
from engine.train.head import summed_loss, token_losses

IGNORED = -100


class Tokens(NamedTuple):
    """One sample: input_ids and labels, both (tokens,)."""

    ids: torch.Tensor
    labels: torch.Tensor


def unpad(batch: dict[str, torch.Tensor]) -> list[Tokens]:
    """The samples of a padded batch (samples, width), without their padding."""
    lengths = batch["attention_mask"].sum(1).tolist()
    return [
        Tokens(ids[:length], labels[:length])
        for ids, labels, length in zip(batch["input_ids"], batch["labels"], lengths, strict=True)
    ]


def bins(samples: list[Tokens], budget: int) -> list[list[Tokens]]:
    """First-fit decreasing; a stable order, so that a resumed run packs alike. One sample may exceed the budget."""
    rows: list[tuple[int, list[Tokens]]] = []
    for sample in sorted(samples, key=lambda sample: -len(sample.ids)):
        for at, (used, row) in enumerate(rows):
            if used + len(sample.ids) <= budget:
                row.append(sample)
                rows[at] = (used + len(sample.ids), row)
                break
        else:
            rows.append((len(sample.ids), [sample]))
    return [row for _, row in rows]


def packed_inputs(samples: list[Tokens]) -> dict[str, Any]:
    """One row of samples as keyword arguments of the packed forward.

    input_ids and position_ids (1, tokens); keep: positions that predict a labelled token; targets: those tokens.
    A sample's first token is never a target.
    """
    device = samples[0].ids.device
    lengths = [len(sample.ids) for sample in samples]
    shifted = torch.cat([torch.cat([sample.labels[1:], sample.labels.new_tensor([IGNORED])]) for sample in samples])
    keep = (shifted != IGNORED).nonzero()[:, 0]
    positions = torch.cat([torch.arange(length, device=device) for length in lengths])
    return {
        "input_ids": torch.cat([sample.ids for sample in samples])[None],
        "position_ids": positions[None],
        "row": Row.of(lengths, device),
        "keep": keep,
        "targets": shifted[keep],
    }


def install_packed_forward(lm: torch.nn.Module) -> None:
    """Teach a causal LM to take packed rows: forward(row=…, keep=…, targets=…) → {"loss": sum over targets}.

    With per_token also {"losses": (targets,)}. It goes through forward, so that the hooks of peft, DDP and autocast
    see it. Everything else is as before.
    """
    plain = lm.forward

    def forward(
        self: Any,
        *args: Any,
        row: Row | None = None,
        keep: torch.Tensor | None = None,
        targets: torch.Tensor | None = None,
        per_token: bool = False,
        **kwargs: Any,
    ) -> Any:
        if row is None:
            return plain(*args, **kwargs)
        hidden = self.base_model(*args, row=row, use_cache=False, **kwargs).last_hidden_state[0, keep]
        assert targets is not None
        loss = summed_loss(self, hidden, targets)
        return {"loss": loss, "losses": token_losses(self, hidden, targets)} if per_token else {"loss": loss}

    lm.forward = types.MethodType(forward, lm)
