"""What follows from the answers at once: the steps of the run, what a step sees, and what it takes of the disk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.config.schema import TrainConfig, fields
from engine.errors import Problem
from engine.memory.fast import trained_parameters
from engine.memory.job import WIDTH
from engine.memory.outlook import Outlook, outlook
from engine.memory.places import device_of
from engine.memory.recipe import recipe_of
from engine.project import train_values
from engine.storage import free_bytes
from engine.text import Phrase

if TYPE_CHECKING:
    from engine.wizard.session import Wizard


@dataclass(frozen=True)
class Ahead:
    """rows: that are learned from. counted: these are all of them, and not at least so many. batch: rows of a step.

    learning: parameters that learn. outlook: steps and disk of training. merged, fetched: bytes of the merged model and
    of a download; 0 where there is none or its size is not known.
    """

    rows: int
    counted: bool
    batch: int
    learning: int
    outlook: Outlook
    merged: int = 0
    fetched: int = 0

    @property
    def disk(self) -> int:
        """Bytes of checkpoints, adapter, merged model and download together."""
        return self.outlook.disk.needed + self.merged + self.fetched


def ahead(wizard: Wizard) -> Ahead | None:
    """Of the run as it is answered now; None while model or data are not known, or rows are joined by packing."""
    machine, model, data, shape = (*map(wizard.found, ("hardware", "model", "data")), wizard.shape())
    if machine is None or not model or not data or shape is None:
        return None
    config, passed = _config(wizard)
    if config.packing or config.neat_packing:
        return None
    rows = _usable(wizard, config, data)
    rows -= _held_back(config, rows)
    if rows < 1:
        return None
    device = device_of(config, machine.hardware, machine.host)[0]
    recipe = recipe_of(config, passed, shape, device)
    learning = trained_parameters(shape, recipe)
    saved = learning * WIDTH[recipe.trained]
    found = outlook(config, rows, 0, trained=saved, saved=saved, free=lambda _saves: _free(wizard.folder()))
    size = int(model.get("bytes") or 0)
    return Ahead(
        rows,
        bool(data["whole"]),
        config.per_device_train_batch_size * config.gradient_accumulation_steps,
        learning,
        found,
        size if wizard.value("merge") else 0,
        0 if model.get("here") else size,
    )


def ahead_lines(found: Ahead | None) -> tuple[Phrase, ...]:
    """For the settings: what moves when one of them is changed."""
    if found is None:
        return ()
    told = {"rows": found.rows, "batch": found.batch, "steps": found.outlook.steps}
    told["each"] = found.outlook.steps_per_epoch
    text = Phrase("Rows: {rows}, {batch} a step. Steps: {each} an epoch, {steps} in all.", told)
    if not found.counted:
        text = Phrase("Rows: at least {rows}, {batch} a step. Steps: {each} an epoch, {steps} in all.", told)
    sizes = {"needed": _gigabytes(found.disk), "free": _gigabytes(found.outlook.disk_free)}
    if found.disk > found.outlook.disk_free:
        return (text, Phrase("Disk: too small, about {needed} GB are needed and {free} GB are free.", sizes))
    return (text, Phrase("Disk: about {needed} of {free} GB free.", sizes))


def start_line(wizard: Wizard, found: Ahead | None) -> Phrase:
    """What Start will do, for its own row."""
    if found is None:
        return Phrase("Start: train, then merge") if wizard.value("merge") else Phrase("Start: train")
    steps = Phrase("{steps} steps", {"steps": found.outlook.steps})
    told = {"steps": Phrase("1 step") if found.outlook.steps == 1 else steps, "disk": _gigabytes(found.disk)}
    if wizard.value("merge"):
        return Phrase("Start: train {steps}, merge, about {disk} GB of disk", told)
    return Phrase("Start: train {steps}, about {disk} GB of disk", told)


def vain(wizard: Wizard) -> list[Problem]:
    """Settings with which nothing would be learned: every row is held back, or no layer has the name of a target."""
    found, data = ahead(wizard), wizard.found("data")
    if found is not None and not found.learning:
        targets = wizard.value("train.lora_target")
        return [Problem("nothing_learns", {"targets": targets}, "lora_target")]
    if found is None and data:
        config = _config(wizard)[0]
        rows = _usable(wizard, config, data)
        if 0 < rows <= _held_back(config, rows):
            return [Problem("val_size_takes_all", {"val_size": f"{config.val_size:g}", "rows": rows}, "val_size")]
    return []


def _config(wizard: Wizard) -> tuple[TrainConfig, dict[str, Any]]:
    """(the train config of these answers, keys that are passed on)."""
    values = train_values(wizard.project(replace=False), wizard.preset())
    known = {name: value for name, value in values.items() if name in fields(TrainConfig)}
    return TrainConfig(**known), {name: value for name, value in values.items() if name not in known}


def _usable(wizard: Wizard, config: TrainConfig, data: dict[str, Any]) -> int:
    """Rows after the limits."""
    limits = (wizard.value("max_rows") if wizard.source() else None, config.max_samples)
    return min([int(data["rows"]) - int(data["dropped"]), *(limit for limit in limits if limit)])


def _held_back(config: TrainConfig, rows: int) -> int:
    return int(config.val_size) if config.val_size >= 1 else math.ceil(config.val_size * rows)


def _free(folder: Path) -> int:
    try:
        return free_bytes(folder)
    except OSError:  # a folder that cannot be looked into; its own question says so
        return 0


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f}" if size >= 1e9 else f"{max(size / 1e9, 0.01):.2f}"
