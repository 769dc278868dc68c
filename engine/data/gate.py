"""The gate in front of training: what would ruin a run stops it, or is said where it was forced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.config.schema import TrainConfig
from engine.data.prepare import Prepared
from engine.data.review import (
    Part,
    Review,
    difference_warning,
    differs,
    embedding_rows,
    findings,
    measure,
    name_of,
    samples_of,
)
from engine.data.sampling import TokenTexts
from engine.errors import DataError, Problem
from engine.train.rules import grows_vocabulary

HOPELESS = ("no_rows", "no_rows_left", "ids_beyond_embedding")  # there is nothing to train on, or it would crash


def gate(prepared: Prepared, config: TrainConfig, model: Path, *, force: bool) -> list[Problem]:
    """Warnings on the data that is about to be trained on. Raises DataError with what would ruin the run.

    `force`: train nevertheless; then all of it are warnings, but for what cannot be trained on at all.
    """
    if not config.dataset:  # measuring and predicting only
        return []
    found = _forced(_findings(prepared, config, model, _train(prepared, config)), force)
    errors = [problem for problem in found if problem.severity == "error"]
    if errors:
        raise DataError(*errors)
    return found


def review(prepared: Prepared, config: TrainConfig, model: Path, *, force: bool = False) -> Review:
    """Everything there is to tell of the data; nothing is raised for what it holds."""
    part = _train(prepared, config)
    parts = {"train": part}
    for name, encoded in prepared.evaluations.items():
        parts[name] = measure(encoded, prepared.tokenizer, prepared.stop_ids, prompts_learnt=config.train_on_prompt)
    return Review(
        template=name_of(prepared.template),
        cutoff_len=config.cutoff_len,
        own_template=bool(prepared.own_chat_template),
        difference=differs(prepared.template, prepared.tokenizer, prepared.own_chat_template),
        ends=_ends(prepared),
        vocabulary=embedding_rows(model),
        sets=prepared.train.report.sets,
        parts=parts,
        samples=samples_of(prepared.train, prepared.tokenizer),
        problems=[*_forced(_findings(prepared, config, model, part), force), *prepared.notes],
        from_cache=prepared.from_cache,
    )


def _train(prepared: Prepared, config: TrainConfig) -> Part:
    return measure(prepared.train, prepared.tokenizer, prepared.stop_ids, prompts_learnt=config.train_on_prompt)


def _findings(prepared: Prepared, config: TrainConfig, model: Path, part: Part) -> list[Problem]:
    ends, vocabulary = _ends(prepared), embedding_rows(model)
    found = findings(part, prepared.train, prepared.template, ends, vocabulary, grows_vocabulary(config))
    difference = differs(prepared.template, prepared.tokenizer, prepared.own_chat_template)
    if difference and prepared.template:
        found.append(difference_warning(prepared.template.name, difference))
    return found


def _forced(found: list[Problem], force: bool) -> list[Problem]:
    """With force errors become warnings, but for those that leave nothing to train."""
    return [
        replace(problem, severity="warning") if force and problem.code not in HOPELESS else problem for problem in found
    ]


def _ends(prepared: Prepared) -> tuple[tuple[int, str], ...]:
    texts = TokenTexts(prepared.tokenizer)
    return tuple((token, texts(token)) for token in prepared.stop_ids)
