"""What a forecast rests on: the model's shape and the data's lengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.config.jobs import Job
from engine.config.rules import wants_rows
from engine.config.schema import TrainConfig
from engine.data.prepare import data_files
from engine.data.source import convert_source
from engine.data_check import ask
from engine.errors import ConfigError, EnvironmentProblem, Problem, ProblemError
from engine.memory.job import DataShape
from engine.memory.recommended import known_model
from engine.memory.shape import ModelShape, read_shape, shape_of
from engine.model_hub import hub_config
from engine.models import ModelFolder, find_model, read_json
from engine.runs.events import Event
from engine.text import Phrase, verbatim


@dataclass(frozen=True)
class FoundModel:
    """A base model as far as it is known. folder: None where its weights are not on this machine, or are damaged.

    config: its config.json. problems: why something is not known.
    """

    folder: ModelFolder | None
    config: Mapping[str, Any] | None
    shape: ModelShape | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class FoundData:
    """The data of a job. lengths: `Lengths.as_dict` of its samples, None where they were not counted."""

    shape: DataShape
    lengths: Mapping[str, Any] | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def cuts(self) -> dict[int, int]:
        """How many samples each shorter limit would cut."""
        over = (self.lengths or {}).get("over", {})
        return {int(cutoff): rows for cutoff, rows in sorted(over.items(), key=lambda item: -int(item[0]))}


def find_base(config: TrainConfig) -> FoundModel:
    """The base of a job: from its folder, else from the recommended models, else from a config.json of the hub.

    Nothing is raised: problems say why it is not known.
    """
    problems: list[Problem] = []
    folder: ModelFolder | None = None
    name = config.model_name_or_path
    where = Path(name)  # absolute where there is such a folder
    try:
        folder = find_model(name, config.model_revision, config.cache_dir)
    except ConfigError as error:
        problems += error.problems
    try:
        if folder is not None:
            return FoundModel(folder, read_json(folder.path / "config.json"), read_shape(folder.path))
        if where.is_dir() and not (where / "config.json").is_file():
            return FoundModel(None, None, None, tuple(problems))
        if where.is_dir():
            read: Mapping[str, Any] = read_json(where / "config.json")
            return FoundModel(None, read, shape_of(read, str(where / "config.json")), tuple(problems))
        known = known_model(name)
        read = known.config if known else read_json(hub_config(name, config.model_revision, config.cache_dir))
        problems.append(Problem("size_from_config", {"name": name}, severity="note"))
        return FoundModel(None, read, shape_of(read, name), tuple(problems))
    except (ConfigError, EnvironmentProblem) as error:
        return FoundModel(folder, None, None, (*problems, *error.problems))


def count_data(job: Job, model: ModelFolder | None, *, listen: Callable[[Event], None]) -> FoundData:
    """The lengths of a job's samples, tokenised by a worker, whose cache serves the run later.

    Without the model, and where the data cannot be read, every sample counts as cutoff_len tokens, and problems say so.
    """
    assert job.train is not None
    config = job.train.config
    if model is None:
        return assumed(config, Phrase("without the model they cannot be tokenised"))
    try:
        if job.data and job.root:
            convert_source(job.data, job.root / "data")
        listen({"type": "phase", "name": "tokenising"})
        hashes = data_files(config)
        spec = {
            "config": msgspec.to_builtins(config),
            "model_path": str(model.path),
            "data_sha256": hashes,
            "force": True,
        }
        return of_count(ask("engine.data.count", spec, job.secrets, listen))
    except ProblemError as error:
        found = assumed(config, Phrase("the data cannot be read"))
        # A worker's surprise tells of the log and of resuming a run: there is none.
        strange = next((problem for problem in error.problems if problem.code == "internal"), None)
        if strange:
            return assumed(config, verbatim(" ".join(str(strange.params.get("reason")).split()).rstrip(".")))
        return FoundData(found.shape, problems=(*error.problems, *found.problems))


def of_count(counted: Mapping[str, Any]) -> FoundData:
    """What `engine.data.count` answered."""
    shape = DataShape(
        counted["samples"], counted["tokens"], counted["labelled"], counted["longest_row"], counted["eval_longest"]
    )
    return FoundData(shape, counted["lengths"])


def assumed(config: TrainConfig, reason: Phrase) -> FoundData:
    """Data that nobody counted: no sample is longer than cutoff_len."""
    measured = config.cutoff_len if wants_rows(config) else 0
    shape = DataShape(0, 0, 0, config.cutoff_len, measured, counted=False)
    params = {"cutoff": config.cutoff_len, "reason": reason}
    return FoundData(shape, problems=(Problem("data_not_counted", params, "cutoff_len", severity="note"),))
