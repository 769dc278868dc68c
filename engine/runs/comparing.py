"""Runs beside each other: what they were given that differs. Pure; listing.py reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.runs.listing import Trained

MOST = 4  # curves that can be told apart in one picture

# Where things lie and how often they are said: two runs that differ in nothing else are the same work. The model and
# the data are compared by their names.
_PLACES = frozenset(
    (
        *("output_dir", "logging_dir", "dataset_dir", "cache_dir", "run_name", "report_to", "logging_steps"),
        *("overwrite_output_dir", "overwrite_cache", "resume_from_checkpoint", "plot_loss", "dataset"),
        *("model_name_or_path", "preprocessing_num_workers", "dataloader_num_workers", "ddp_timeout"),
    )
)


@dataclass(frozen=True)
class Comparison:
    """settings: [(key, its value in each run)] of those that are not the same in all; None where a run has none."""

    runs: tuple[Trained, ...]
    settings: tuple[tuple[str, tuple[Any, ...]], ...]


def compare(runs: Sequence[Trained]) -> Comparison:
    """Which settings differ, the model and the data first, then in the order of the table of keys."""
    given = [_settings(run) for run in runs]
    keys = dict.fromkeys(key for settings in given for key in settings)
    rows = [(key, tuple(settings.get(key) for settings in given)) for key in keys]
    return Comparison(tuple(runs), tuple(row for row in rows if any(value != row[1][0] for value in row[1])))


def _settings(run: Trained) -> Mapping[str, Any]:
    settings: dict[str, Any] = {"model": run.listed.model, "data": run.listed.data}
    settings |= {key: value for key, value in run.settings.items() if key not in _PLACES}
    if settings.get("lora_alpha", 0) is None and settings.get("lora_rank"):
        settings["lora_alpha"] = 2 * settings["lora_rank"]  # what null means
    return settings
