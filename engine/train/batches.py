"""Tokenised rows as Trainer takes them: a dataset and a collator."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pad_sequence

from engine.data.encoded import Encoded
from engine.train.packing import IGNORED, Tokens


class TokenRows(torch.utils.data.Dataset):
    """Rows of `Encoded`, each {input_ids, labels}: int64 tensors (tokens,).

    Packed rows have attention_mask too, the number (from 1) of each token's sample, where samples do not see each
    other; else position_ids, which start again with each sample.
    """

    def __init__(self, encoded: Encoded):
        self.encoded = encoded

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids, labels = (torch.tensor(values, dtype=torch.long) for values in self.encoded.row(index))
        row = {"input_ids": ids, "labels": labels}
        if self.encoded.parts is not None:
            lengths = self.encoded.lengths(index)
            if self.encoded.neat:
                row["attention_mask"] = torch.arange(1, len(lengths) + 1).repeat_interleave(torch.tensor(lengths))
            else:
                row["position_ids"] = torch.cat([torch.arange(length) for length in lengths])
        return row

    def tokens(self, index: int) -> Tokens:
        """The first sample of the row, as the packed step takes it."""
        length = self.encoded.lengths(index)[0]
        row = self[index]
        return Tokens(row["input_ids"][:length], row["labels"][:length])


class Pad:
    """Collator: right padding to the longest row of the batch; (rows, width) each."""

    def __init__(self, pad_id: int):
        self._fill = {"input_ids": pad_id, "labels": IGNORED, "attention_mask": 0, "position_ids": 0}

    def __call__(self, rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        rows = [{"attention_mask": torch.ones_like(row["input_ids"]), **row} for row in rows]
        return {
            name: pad_sequence([row[name] for row in rows], batch_first=True, padding_value=self._fill[name])
            for name in rows[0]
        }
