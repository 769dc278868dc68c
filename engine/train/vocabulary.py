"""Embeddings that follow a tokenizer which gained tokens."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from engine.config.schema import TrainConfig, names
from engine.errors import ConfigError, Problem

MULTIPLE = 64  # rows are padded to it, as in LLaMA-Factory


def grow(
    model: Any, tokenizer: Any, path: Path, config: TrainConfig, tell: Callable[[Problem], None]
) -> tuple[int, int]:
    """Give each token that the tokenizer in `path` did not have a row of its own; (rows before, rows after).

    Never shrinks. New tokens that fall into rows which the model already has as padding start anew too: LLaMA-Factory
    0.9.5 leaves those as they are. Raises ConfigError not_on_quantised, vocabulary_fixed.
    """
    before = model.get_input_embeddings().weight.shape[0]
    known = min(_tokens_before(path, config), before)
    if len(tokenizer) <= known:
        return before, before
    if getattr(model, "quantization_method", None):
        raise ConfigError(Problem("not_on_quantised", {"key": "resize_vocab"}, "resize_vocab"))
    after = before
    if len(tokenizer) <= before and not _rows_are_saved(model, config):
        tell(
            Problem(
                "new_tokens_not_trained", {"tokens": len(tokenizer) - known}, "additional_target", severity="warning"
            )
        )
        return before, before
    if len(tokenizer) > before:
        if not isinstance(model.get_output_embeddings(), torch.nn.Linear):
            raise ConfigError(Problem("vocabulary_fixed", {}, "resize_vocab"))
        after = MULTIPLE * math.ceil(len(tokenizer) / MULTIPLE)
        _resize(model, after)
    end = after if after > before else len(tokenizer)  # rows of padding that were there stay as they are
    described = _descriptions(config)
    with torch.no_grad():
        for matrix in _matrices(model):
            start_rows(matrix, known, end)
            if described and config.init_special_tokens != "noise_init":
                _describe(matrix, tokenizer, known, described, config.init_special_tokens == "desc_init_w_noise")
    params = {"tokens": len(tokenizer) - known, "before": before, "after": after}
    tell(Problem("vocabulary_grown", params, "resize_vocab", severity="note"))
    return before, after


def make_room(model: Any, rows: int) -> None:
    """Let embedding and head have `rows` rows, for an adapter that brings those of new tokens.

    Without the adapter the new rows are the mean of the others: its logit is never the largest.
    """
    before = model.get_input_embeddings().weight.shape[0]
    if rows <= before:
        return
    _resize(model, rows)
    with torch.no_grad():
        for matrix in _matrices(model):
            matrix[before:] = matrix[:before].mean(dim=0)


def _resize(model: Any, rows: int) -> None:
    model.resize_token_embeddings(rows, mean_resizing=False)
    model.config.get_text_config().vocab_size = rows


def _rows_are_saved(model: Any, config: TrainConfig) -> bool:
    """Whether rows of the embedding become part of what is saved. Of one that was resized peft saves them by itself."""
    wanted = names(config.additional_target)
    if config.finetuning_type != "lora" or not wanted:
        return True
    embedding = next(name for name, module in model.named_modules() if module is model.get_input_embeddings())
    return any(embedding.endswith(name) for name in wanted)


def start_rows(matrix: torch.Tensor, first: int, end: int) -> None:
    """Rows first to end (exclusive) of (rows, width): the mean of the rows before them + N(0, 1/sqrt(width))."""
    noise = torch.empty_like(matrix[first:end]).normal_(mean=0.0, std=1.0 / math.sqrt(matrix.shape[1]))
    matrix[first:end] = matrix[:first].mean(dim=0, keepdim=True) + noise


def _describe(matrix: torch.Tensor, tokenizer: Any, known: int, described: dict[str, str], noisy: bool) -> None:
    """The row of each described token: the mean of the rows of its description's tokens, as far as those are known."""
    for token, text in described.items():
        ids = [i for i in tokenizer(text, add_special_tokens=False)["input_ids"] if i < known]
        row = matrix[ids].mean(dim=0) if ids else matrix[:known].mean(dim=0)
        if noisy:
            row = row + torch.randn_like(row) / math.sqrt(matrix.shape[1])
        at = tokenizer.convert_tokens_to_ids(token)
        if known <= at < len(matrix):
            matrix[at] = row


def _matrices(model: Any) -> list[torch.Tensor]:
    """The embedding's weight, and the head's where it is another."""
    found = [model.get_input_embeddings().weight]
    head = model.get_output_embeddings()
    if head is not None and head.weight is not found[0]:
        found.append(head.weight)
    return [weight.data for weight in found]


def _tokens_before(path: Path, config: TrainConfig) -> int:
    """How many tokens the model's own tokenizer has."""
    from transformers import AutoTokenizer

    options = {"trust_remote_code": config.trust_remote_code, "local_files_only": True}
    return len(AutoTokenizer.from_pretrained(path, **options))


def _descriptions(config: TrainConfig) -> dict[str, str]:
    if not config.new_special_tokens_config:
        return {}
    found = yaml.safe_load(Path(config.new_special_tokens_config).read_text(encoding="utf-8"))
    return {str(token): str(text) for token, text in (found or {}).items()}
