"""The gate in front of training: what would ruin a run stops it, or is said where it was forced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.config.rules import grows_vocabulary, wants_rows
from engine.config.schema import TrainConfig
from engine.data.encoded import Encoded
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
    whole,
)
from engine.data.sampling import TokenTexts
from engine.errors import DataError, Problem

HOPELESS = ("no_rows", "no_rows_left", "ids_beyond_embedding")  # there is nothing to train on, or it would crash


def gate(prepared: Prepared, config: TrainConfig, model: Path, *, force: bool) -> list[Problem]:
    """Warnings on the data that is about to be trained on. Raises DataError with what would ruin the run, and
    eval_without_rows.

    `force`: train nevertheless; then all of it are warnings, but for what cannot be trained on at all.
    """
    wanting = wants_rows(config)
    if wanting and not prepared.held_back:  # a folder of tokens may hold none
        raise DataError(Problem("eval_without_rows", {}, wanting))
    if not (config.dataset or config.tokenized_path):  # measuring and predicting only
        return []
    found = _forced(_findings(prepared, config, model, _measured(prepared, prepared.train, config)), force)
    errors = [problem for problem in found if problem.severity == "error"]
    if errors:
        raise DataError(*(found if any(problem.code == "no_rows_left" for problem in errors) else errors))
    return found


def review(prepared: Prepared, config: TrainConfig, model: Path, *, force: bool = False) -> Review:
    """Everything there is to tell of the data; nothing is raised for what it holds."""
    sets = {"train": prepared.train} if config.dataset else {}
    sets |= prepared.evaluations | {name: whole(prompts) for name, prompts in prepared.prompts.items()}
    parts = {name: _measured(prepared, encoded, config) for name, encoded in sets.items()}
    found = _forced(_findings(prepared, config, model, parts["train"]), force) if config.dataset else []
    return Review(
        template=name_of(prepared.template),
        cutoff_len=config.cutoff_len,
        own_template=bool(prepared.own_chat_template),
        difference=differs(prepared.template, prepared.tokenizer, prepared.own_chat_template),
        ends=_ends(prepared),
        vocabulary=embedding_rows(model),
        sets=prepared.train.report.sets,
        parts=parts,
        samples=samples_of(next(iter(sets.values())), prepared.tokenizer) if sets else [],
        problems=[*found, *prepared.notes],
        from_cache=prepared.from_cache,
    )


def _measured(prepared: Prepared, encoded: Encoded, config: TrainConfig) -> Part:
    return measure(encoded, prepared.tokenizer, prepared.stop_ids, prompts_learnt=config.train_on_prompt)


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
