"""What is settled before the first step: the checkpoint to go on from, and room on the disk for new ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from engine.config.schema import TrainConfig
from engine.errors import EnvironmentProblem, Problem, RunError
from engine.memory.outlook import disk_of
from engine.runs.worker import Work
from engine.storage import free_bytes
from engine.text import Phrase
from engine.train.checkpoints import checkpoints, damage, newest_good, step_of
from engine.train.whole import is_adapter


def resume_from(work: Work, config: TrainConfig, output: Path) -> Path | None:
    """The checkpoint to go on from: the one named, else the newest that is whole."""
    asked = config.resume_from_checkpoint
    if isinstance(asked, str):
        reason = damage(Path(asked))
        if reason:
            raise RunError(Problem("checkpoint_unusable", {"path": asked, "reason": reason}, "resume_from_checkpoint"))
        named = Path(asked)
        own, _ = newest_good(output)
        # Interrupted after it went on from another run's checkpoint: its own is further. A named one of its own is
        # a wish to go back.
        further = own if own and named.parent != output and step_of(own) > step_of(named) else named
        work.events.write("log", what="resumed", resumed_from=str(further), step=step_of(further))
        return further
    found, warnings = newest_good(output)
    for problem in warnings:
        work.warn(problem)
    if found:
        work.events.write("log", what="resumed", resumed_from=str(found), step=step_of(found))
    elif asked is True:
        raise RunError(Problem("nothing_to_resume", {"folder": str(output)}, "resume_from_checkpoint"))
    return found


def check_disk(
    config: TrainConfig,
    model: torch.nn.Module,
    samples: int,
    output: Path,
    free: Callable[[Path], int] = free_bytes,
) -> None:
    """Raise EnvironmentProblem before the first step where checkpoints and the result will not fit (`disk_of`)."""
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    saved = trained if is_adapter(model) else sum(p.numel() * p.element_size() for p in model.parameters())
    disk = disk_of(config, samples, trained=trained, saved=saved)
    there = sum(file.stat().st_size for old in checkpoints(output) for file in old.rglob("*") if file.is_file())
    room = free(output) + there
    if disk.needed > room:
        params = {"path": str(output), "what": Phrase("{count} checkpoints", {"count": disk.kept})}
        params |= {"needed": round(disk.needed / 1e9, 2), "free": round(room / 1e9, 2)}
        raise EnvironmentProblem(Problem("disk_too_small", params, "save_steps"))
