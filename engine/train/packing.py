"""Samples of one optimiser step to as few rows as a token budget allows, and a row as the model takes it."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence

from engine.memory.job import CHUNK
from engine.train.attention import Row
from engine.train.head import summed_loss, token_losses

IGNORED = -100


class Tokens(NamedTuple):
    """One sample: input_ids and labels, both (tokens,). `positions` (tokens,) where they are not 0, 1, 2 and so on."""

    ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor | None = None

    def to(self, device: torch.device) -> Tokens:
        """The same on another device."""
        return Tokens(*(None if part is None else part.to(device) for part in self))


def unpad(batch: dict[str, torch.Tensor]) -> list[Tokens]:
    """The samples of a padded batch (rows, width), without their padding.

    attention_mask is 0 for padding and counts the samples of a row from 1.
    """
    found = []
    for row, mask in enumerate(batch["attention_mask"]):
        first = 0
        for length in mask[mask > 0].unique_consecutive(return_counts=True)[1].tolist():
            span = (row, slice(first, first + length))
            positions = batch["position_ids"][span] if "position_ids" in batch else None
            found.append(Tokens(batch["input_ids"][span], batch["labels"][span], positions))
            first += length
    return found


def spread(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The batch with a row for each sample, for a model that would let the samples of one row see each other."""
    if int(batch["attention_mask"].max()) < 2:
        return batch
    samples = unpad(batch)
    ids = pad_sequence([sample.ids for sample in samples], batch_first=True)  # any id: it is masked
    labels = pad_sequence([sample.labels for sample in samples], batch_first=True, padding_value=IGNORED)
    lengths = torch.tensor([len(sample.ids) for sample in samples], device=ids.device)
    mask = (torch.arange(ids.shape[1], device=ids.device)[None] < lengths[:, None]).long()
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


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
    positions = torch.cat(
        [torch.arange(len(s.ids), device=device) if s.positions is None else s.positions for s in samples]
    )
    return {
        "input_ids": torch.cat([sample.ids for sample in samples])[None],
        "position_ids": positions[None],
        "row": Row.of(lengths, device),
        "keep": keep,
        "targets": shifted[keep],
    }


def install_packed_forward(lm: torch.nn.Module) -> None:
    """Teach a causal LM to take packed rows: forward(row=…, keep=…, targets=…) → {"loss": sum over targets}.

    With per_token also {"losses": (targets,)}; with `head` (losses.py) what that computes instead. `chunk`: labelled
    positions whose logits exist at a time. It goes through forward, so that the hooks of peft, DDP and autocast see it.
    Everything else is as before.
    """
    plain = lm.forward

    def forward(
        self: Any,
        *args: Any,
        row: Row | None = None,
        keep: torch.Tensor | None = None,
        targets: torch.Tensor | None = None,
        per_token: bool = False,
        head: Callable[[Any, torch.Tensor, torch.Tensor, int], dict[str, torch.Tensor]] | None = None,
        chunk: int = CHUNK,
        **kwargs: Any,
    ) -> Any:
        if row is None:
            return plain(*args, **kwargs)
        hidden = self.base_model(*args, row=row, use_cache=False, **kwargs).last_hidden_state[0, keep]
        assert targets is not None
        if head is not None:
            return head(self, hidden, targets, chunk)
        loss = summed_loss(self, hidden, targets, chunk)
        return {"loss": loss, "losses": token_losses(self, hidden, targets)} if per_token else {"loss": loss}

    lm.forward = types.MethodType(forward, lm)
