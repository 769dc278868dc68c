"""Answers written out by the model for a whole set: prompts padded on the left, the longest first."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import StoppingCriteria

from engine.config.schema import TrainConfig
from engine.data.encoded import Prompts
from engine.errors import StopRequested
from engine.storage import write_whole


@dataclass(frozen=True)
class Answered:
    """One row: the texts of generated_predictions.jsonl, and the answer and label as they are compared."""

    prompt: str
    predict: str
    label: str
    compared: tuple[str, str]


class PromptRows(torch.utils.data.Dataset):
    """Prompts as a dataset that Trainer can count; the writer reads them itself."""

    def __init__(self, prompts: Prompts):
        self.prompts = prompts

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids, labels = (torch.tensor(values, dtype=torch.long) for values in self.prompts.row(index))
        return {"input_ids": ids, "labels": labels}


@dataclass
class Writer:
    """How answers are written. settings: keyword arguments of generate(). skip_special: leave special tokens out of

    the texts. progress(done, total) is told after each batch; should_stop is asked at each token.
    """

    tokenizer: Any
    settings: dict[str, Any]
    batch_size: int
    skip_special: bool = True
    progress: Callable[[int, int], None] = lambda done, total: None
    should_stop: Callable[[], bool] = lambda: False

    def write(self, model: Any, prompts: Prompts, **other: Any) -> list[Answered]:
        """Answer every prompt, in the order of the set. `other` settings go before. Raises StopRequested."""
        model.eval()
        settings = {**self.settings, **other}
        order = sorted(range(len(prompts)), key=lambda index: -len(prompts.row(index)[0]))
        answers: dict[int, list[int]] = {}
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            found = self._batch(model, [prompts.row(index)[0].tolist() for index in batch], settings)
            answers |= dict(zip(batch, found, strict=True))
            self.progress(len(answers), len(order))
        return [self._texts(prompts, index, answers[index]) for index in range(len(prompts))]

    @torch.no_grad()
    def _batch(self, model: Any, prompts: list[list[int]], settings: dict[str, Any]) -> list[list[int]]:
        width, pad = max(map(len, prompts)), settings["pad_token_id"]
        ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        if settings.get("max_length"):  # prompt and answer; a longer prompt still gets a token
            settings = {**settings, "max_length": None, "max_new_tokens": max(1, settings["max_length"] - width)}
        asked = _Stop(self.should_stop)
        written = model.generate(
            input_ids=ids, attention_mask=mask.to(model.device), use_cache=True, stopping_criteria=[asked], **settings
        )
        if self.should_stop():
            raise StopRequested
        return [_until_stop(row, settings["eos_token_id"]) for row in written[:, width:].tolist()]

    def _texts(self, prompts: Prompts, index: int, answer: list[int]) -> Answered:
        prompt, label = prompts.row(index)
        show = lambda ids, skip: self.tokenizer.decode(ids, skip_special_tokens=skip)  # noqa: E731
        return Answered(
            prompt=show(prompt, False),
            predict=show(answer, self.skip_special),
            label=show(label, self.skip_special),
            compared=(show(answer, True), show(label, True)),
        )


class _Stop(StoppingCriteria):
    def __init__(self, should_stop: Callable[[], bool]):
        self.should_stop = should_stop

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self.should_stop(), device=input_ids.device)


def generation_settings(config: TrainConfig, stop_ids: list[int], pad_id: int) -> dict[str, Any]:
    """Keyword arguments of generate() from the generating keys; temperature 0 is the likeliest token, as greedy."""
    draw = config.do_sample and config.temperature > 0
    length = {"max_new_tokens": config.max_new_tokens} if config.max_new_tokens else {"max_length": config.max_length}
    return {
        "do_sample": draw,
        # None: not the model's own either, which would be warned of
        "temperature": config.temperature if draw else None,
        "top_p": config.top_p if draw else None,
        "top_k": config.top_k if draw else None,
        "num_beams": config.num_beams,
        "length_penalty": config.length_penalty if config.num_beams > 1 else None,
        "repetition_penalty": config.repetition_penalty,
        "eos_token_id": stop_ids,
        "pad_token_id": pad_id,
        **length,
    }


def while_training(config: TrainConfig) -> dict[str, Any]:
    """What generation_max_length, generation_num_beams and eval_num_beams change of it between the steps."""
    beams = config.eval_num_beams or config.generation_num_beams
    found: dict[str, Any] = {"num_beams": beams} if beams else {}
    if config.generation_max_length:
        found |= {"max_length": config.generation_max_length, "max_new_tokens": None}
    return found


def write_predictions(file: Path, answered: list[Answered]) -> None:
    """generated_predictions.jsonl: prompt, predict and label of each row."""
    rows = ({"prompt": row.prompt, "predict": row.predict, "label": row.label} for row in answered)
    write_whole(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), mode=0o644)


def _until_stop(ids: list[int], stop_ids: list[int]) -> list[int]:
    """Up to its first stop token, which is kept: what follows is padding."""
    end = next((at + 1 for at, token in enumerate(ids) if token in stop_ids), len(ids))
    return ids[:end]
