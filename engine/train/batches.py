"""Tokenised rows as Trainer takes them: a dataset and a collator."""

from __future__ import annotations

import torch

from engine.data.encoded import Encoded
from engine.train.packing import IGNORED, Tokens


class TokenRows(torch.utils.data.Dataset):
    """Rows of `Encoded`, each {input_ids, labels}: int64 tensors (tokens,)."""

    def __init__(self, encoded: Encoded):
        self.encoded = encoded

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids, labels = self.encoded.row(index)
        return {"input_ids": torch.tensor(ids, dtype=torch.long), "labels": torch.tensor(labels, dtype=torch.long)}

    def tokens(self, index: int) -> Tokens:
        """The row as the packed step takes it."""
        row = self[index]
        return Tokens(row["input_ids"], row["labels"])


class Pad:
    """Collator: right padding to the longest row of the batch; (rows, width) each."""

    def __init__(self, pad_id: int):
        self.pad_id = pad_id

    def __call__(self, rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        def fill(name: str, value: int) -> torch.Tensor:
            return torch.nn.utils.rnn.pad_sequence([row[name] for row in rows], batch_first=True, padding_value=value)

        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        ids = fill("input_ids", self.pad_id)
        mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
        return {"input_ids": ids, "labels": fill("labels", IGNORED), "attention_mask": mask}
