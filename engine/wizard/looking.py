"""What the desk's process finds out about every row: the review before a run, and rows as the model will see them."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from engine.config.jobs import load_job
from engine.config.schema import names
from engine.data.entries import DatasetEntry
from engine.data.gate import review
from engine.data.prepare import data_files, prepare, row_warnings
from engine.data.registry import load_registry
from engine.data.sets import load_sets
from engine.data.tally import Tally
from engine.data.views import views
from engine.errors import ConfigError, DataError
from engine.memory.presets import presets
from engine.models import find_model
from engine.project import ProjectAnswers, apply_project, plan_project
from engine.storage import cache_folder

LARGE = 50_000_000  # bytes of data that are looked at whole; of more only the first rows
MOST = 20_000  # rows of such data
PAGE = 20  # rows of one answer
KEPT = 3  # projects that were written for a look, so that a further page need not write them again


def check(options: dict[str, str]) -> dict[str, Any]:
    """{review, problems, rows, first}: the `Review`, and PAGE `RowView`s from place `at` on, as JSON.

    answers: ProjectAnswers as JSON. They are written out as for a run, in the cache, so that what is found holds for
    the run and its tokens serve it. review is None where `at` is not 0, where model or data have to be fetched first,
    and where they cannot be used, for the reason in `problems`. first: rows that were looked at; None where it was all.
    """
    answers = msgspec.json.decode(options["answers"], type=ProjectAnswers, dec_hook=lambda kind, raw: kind(raw))
    at = int(options.get("at", 0))
    nothing: dict[str, Any] = {"review": None, "problems": [], "rows": [], "first": None}
    try:
        model = find_model(answers.model)
        if model is None or _lies_elsewhere(answers):
            return nothing
        first = MOST if _size(answers) > LARGE else None
        folder = cache_folder("looks") / hashlib.sha256(options["answers"].encode()).hexdigest()[:16]
        told = _write(answers, folder, first) if at == 0 or not folder.is_dir() else None
        return nothing | _look(folder, model.path, at, told) | {"first": first}
    except (ConfigError, DataError) as error:
        return nothing | {"problems": [problem.as_dict() for problem in error.problems]}


def _write(answers: ProjectAnswers, folder: Path, first: int | None) -> Tally | None:
    """Configs and data as for a run, of the first rows only where that is asked for; what became of a file's rows."""
    for old in sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    if first is not None:
        settings = {**answers.settings, "max_samples": min(answers.settings.get("max_samples") or first, first)}
        answers = replace(answers, max_samples=min(answers.max_samples or first, first), settings=settings)
    answers = replace(answers, folder=folder)
    converted = apply_project(answers, plan_project(answers, presets()[0]))[1]
    return converted.tally if converted else None


def _look(folder: Path, model: Path, at: int, told: Tally | None) -> dict[str, Any]:
    job = load_job(folder / "config.yaml")
    assert job.train is not None
    config = job.train.config
    prepared = prepare(
        config,
        model,
        hashes=data_files(config),
        progress=lambda done, total: None,
        should_stop=lambda: False,
    )
    rows = views(load_sets(config).train, at, PAGE, config, prepared.tokenizer, prepared.template)
    found: dict[str, Any] = {"rows": [row.as_dict() for row in rows]}
    if at == 0:
        reviewed = review(prepared, config, model)
        if told is not None:  # of the person's own file, and not of what was made of it
            reviewed.sets[:] = [told.as_dict()]
            reviewed.problems[:0] = row_warnings(told)
        found["review"] = reviewed.as_dict()
    return found


def _sets(answers: ProjectAnswers) -> list[DatasetEntry]:
    """The registered sets that were chosen."""
    if answers.registered is None:
        return []
    folder, chosen = answers.registered
    return load_registry(folder).resolve(names(chosen))


def _lies_elsewhere(answers: ProjectAnswers) -> bool:
    return any(entry.hub for entry in _sets(answers))


def _size(answers: ProjectAnswers) -> int:
    files = [answers.source] if answers.source else [file for entry in _sets(answers) for file in entry.files]
    return sum(file.stat().st_size for file in files if file.is_file())
