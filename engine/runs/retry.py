"""Starting a run again with something changed: which settings, and whether the work so far can be gone on with."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.config.finding import kind_of
from engine.config.reading import parse_value, read_document
from engine.config.schema import TrainConfig, WizardConfig, fields, meta
from engine.errors import ConfigError, Problem
from engine.memory.remedies import yaml_value
from engine.outputs import read_marker
from engine.runs.control import Again, again
from engine.runs.events import Event
from engine.runs.folder import RunFolder
from engine.text import listed

# Keys of the result after whose change a checkpoint still fits the model, its optimiser and its schedule.
_FITTING = frozenset(
    {
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "learning_rate",
        "flash_attn",
        "bf16",
        "fp16",
        "pure_bf16",
        "lora_dropout",
        "cutoff_len",
    }
)


@dataclass(frozen=True)
class Retry:
    """What is to be different. settings: training keys and their values. smaller: settings are sought with which the

    job needs less memory than it did. force: data that would ruin a run does not stop it.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    smaller: bool = False
    force: bool = False

    def command(self, run: str) -> str:
        """What does the same at a shell."""
        return shlex.join(
            ["sft-wizard", "resume", run, *self._changes(), *["--smaller"] * self.smaller, *self._forced()]
        )

    def options(self) -> str:
        """The same for the first start of a project's file, after `--replay FILE`."""
        return shlex.join([*self._changes("train."), *["--fit"] * self.smaller, *self._forced()])

    def _changes(self, part: str = "") -> list[str]:
        pairs = (f"{part}{name}={yaml_value(value)}" for name, value in self.settings.items())
        return [word for pair in pairs for word in ("--set", pair)]

    def _forced(self) -> list[str]:
        return ["--force"] * self.force


def started_again(
    run: RunFolder, retry: Retry, listen: Callable[[Event], None] = lambda event: None
) -> tuple[Again, tuple[Problem, ...]]:
    """How `pipeline.run` starts `run` again with this changed, and notes on what is changed. Raises as `again`.

    Where the checkpoints do not fit what is changed the work begins anew, and what was there is moved aside. With
    `smaller` the data may be tokenised, and EnvironmentProblem nothing_smaller is raised where nothing saves memory.
    """
    found, notes = again(run), []
    found = replace(found, force=found.force or retry.force)
    settings = dict(retry.settings)
    if retry.smaller:
        from engine.memory.lowering import lower

        changes = lower(found.source, found.overrides, listen=listen, cwd=found.cwd)
        settings |= {name: value for change in changes for name, value in change.settings.items()}
        titles = listed([change.title for change in changes])
        notes.append(Problem("retry_smaller", {"changes": titles}, severity="note"))
    if not settings:
        return found, tuple(notes)
    config = run.config().get("train", {}).get("config", {})
    goes_on = fits_checkpoints(config, settings) and _last_wrote(run, config)
    if not goes_on:
        settings["overwrite_output_dir"] = True
    overrides = overridden(found.overrides, settings, project=kind_of(read_document(found.source)) == "project")
    return replace(found, overrides=overrides, goes_on=goes_on), tuple(notes)


def settings_of(given: Sequence[str]) -> dict[str, Any]:
    """Training keys out of `key=value` or `train.key=value`. Raises ConfigError for what is no such pair."""
    found = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals or not name.strip():
            raise ConfigError(Problem("override_form", {"given": one}))
        found[name.strip().removeprefix("train.")] = parse_value(text)
    return found


def fits_checkpoints(config: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether a run of `config` can go on from its checkpoints after these keys have changed."""
    learned = {name for name in settings if name in fields(TrainConfig) and _identity(name)}
    if config.get("packing") or config.get("neat_packing") or config.get("drop_long"):
        learned -= _FITTING - {"cutoff_len"}  # which decides there on how many samples a pass has
    else:
        learned -= _FITTING
    return not learned and all(name in fields(TrainConfig) for name in settings)


def overridden(before: Sequence[str], settings: Mapping[str, Any], *, project: bool) -> list[str]:
    """`key=value` of before with these training keys set anew; in a project's file they begin with `train.`."""
    named = {_named(name, project): value for name, value in settings.items()}
    kept = [given for given in before if given.partition("=")[0].strip().lstrip("-") not in named]
    return [*kept, *(f"{name}={yaml_value(value)}" for name, value in named.items())]


def _last_wrote(run: RunFolder, config: Mapping[str, Any]) -> bool:
    """Whether what lies in the output folder is this run's."""
    marker = read_marker(Path(config.get("output_dir", "")))
    return marker is not None and Path(marker.run).name == run.id


def _named(name: str, project: bool) -> str:
    return f"train.{name}" if project and "." not in name and name not in fields(WizardConfig) else name


def _identity(name: str) -> bool:
    return bool((meta(TrainConfig, name).extra or {}).get("identity"))
