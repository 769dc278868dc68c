"""What follows from the answers at once: the steps of the run, what a step sees, and what it takes of the disk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config.schema import TrainConfig, fields
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

    outlook: steps and disk of training. merged, fetched: bytes of the merged model and of a download; 0 where there
    is none or its size is not known.
    """

    rows: int
    counted: bool
    batch: int
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
    values = train_values(wizard.project(replace=False), wizard.preset())
    config = TrainConfig(**{name: value for name, value in values.items() if name in fields(TrainConfig)})
    if config.packing or config.neat_packing:
        return None
    rows = _rows(wizard, config, int(data["rows"]) - int(data["dropped"]))
    if rows < 1:
        return None
    device = device_of(config, machine.hardware, machine.host)[0]
    passed = {name: value for name, value in values.items() if name not in fields(TrainConfig)}
    recipe = recipe_of(config, passed, shape, device)
    saved = trained_parameters(shape, recipe) * WIDTH[recipe.trained]
    found = outlook(config, rows, 0, trained=saved, saved=saved, free=lambda _saves: _free(wizard.folder()))
    size = int(model.get("bytes") or 0)
    return Ahead(
        rows,
        bool(data["whole"]),
        config.per_device_train_batch_size * config.gradient_accumulation_steps,
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
    text = Phrase("{rows} rows, {batch} a step: {each} steps an epoch, {steps} in all.", told)
    if not found.counted:
        text = Phrase("At least {rows} rows, {batch} a step: {each} steps an epoch, {steps} in all.", told)
    sizes = {"needed": _gigabytes(found.disk), "free": _gigabytes(found.outlook.disk_free)}
    if found.disk > found.outlook.disk_free:
        return (text, Phrase("Disk: too small, about {needed} GB are needed and {free} GB are free.", sizes))
    return (text, Phrase("Disk: about {needed} of {free} GB free.", sizes))


def start_line(wizard: Wizard, found: Ahead | None) -> Phrase:
    """What Start will do, for its own row."""
    if found is None:
        return Phrase("Start: train, then merge") if wizard.value("merge") else Phrase("Start: train")
    told = {"steps": found.outlook.steps, "disk": _gigabytes(found.disk)}
    if wizard.value("merge"):
        return Phrase("Start: train {steps} steps, merge, about {disk} GB of disk", told)
    return Phrase("Start: train {steps} steps, about {disk} GB of disk", told)


def _rows(wizard: Wizard, config: TrainConfig, usable: int) -> int:
    """Rows that are left to learn from, after the limits and what is held back."""
    limits = (wizard.value("max_rows") if wizard.source() else None, config.max_samples)
    rows = min([usable, *(limit for limit in limits if limit)])
    return rows - (int(config.val_size) if config.val_size >= 1 else math.ceil(config.val_size * rows))


def _free(folder: Path) -> int:
    try:
        return free_bytes(folder)
    except OSError:  # a folder that cannot be looked into; its own question says so
        return 0


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f}" if size >= 1e9 else f"{max(size / 1e9, 0.01):.2f}"
