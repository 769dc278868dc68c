"""What a training run will come to: tokens, steps, disk, and the time where this machine has measured its rate.

Without torch: `engine.train.before` refuses a disk that is too small by the same arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.config.schema import TrainConfig
from engine.data.steps import steps_per_epoch, total_steps
from engine.errors import ConfigError
from engine.runs.events import read_events
from engine.runs.folder import RunFolder
from engine.storage import free_bytes

TOKENIZER_BYTES = 16 << 20  # saved with every checkpoint; large vocabularies take about that
RUNS = 20  # newest ones that are looked into for a rate


@dataclass(frozen=True)
class Disk:
    """Bytes. checkpoint: of one; kept: how many lie there at most, one more while it is written; needed: in all."""

    checkpoint: int
    kept: int
    result: int

    @property
    def needed(self) -> int:
        """Of the checkpoints and the result together."""
        return self.kept * self.checkpoint + self.result


@dataclass(frozen=True)
class Outlook:
    """tokens: of a pass; steps: of the whole run; tokens_in_all: that they learn from. seconds: None where no run of

    this project measured a rate.
    """

    tokens: int
    steps_per_epoch: int
    steps: int
    tokens_in_all: int
    disk: Disk
    disk_free: int
    seconds: float | None

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        raw = asdict(self)
        return raw | {"disk": raw["disk"] | {"needed": self.disk.needed}}


def disk_of(config: TrainConfig, samples: int, *, trained: int, saved: int) -> Disk:
    """What checkpoints and the result take. trained: bytes of trained parameters; saved: of what is written of them,

    an adapter or the whole model. A checkpoint holds what is saved, and AdamW's two moments of what is trained.
    """
    steps = total_steps(samples, config)
    every = config.save_steps if config.save_steps >= 1 else config.save_steps * steps
    written = {"steps": math.ceil(steps / max(every, 1)), "epoch": math.ceil(config.num_train_epochs), "no": 1}
    kept = min(written[config.save_strategy], config.save_total_limit or steps) + 1
    moments = 0 if config.save_only_model else 2 * trained
    return Disk(saved + moments + TOKENIZER_BYTES, kept, saved + TOKENIZER_BYTES)


def outlook(
    config: TrainConfig,
    samples: int,
    tokens: int,
    *,
    trained: int,
    saved: int,
    rate: float | None = None,
    free: Callable[[Path], int] = free_bytes,
) -> Outlook:
    """Of a run on `samples` rows of `tokens` tokens. trained, saved: as of `disk_of`; rate: tokens a second."""
    steps, each = total_steps(samples, config), steps_per_epoch(samples, config)
    in_all = round(tokens * steps / each)
    disk = disk_of(config, samples, trained=trained, saved=saved)
    seconds = in_all / rate if rate else None
    return Outlook(tokens, each, steps, in_all, disk, free(Path(config.output_dir)), seconds)


def measured_rate(runs: Path, model: str, kind: str) -> float | None:
    """Tokens a second of the newest run under `runs` that trained `model` to its end on a cpu or cuda device."""
    try:
        folders = sorted((path for path in runs.iterdir() if (path / "events.jsonl").is_file()), reverse=True)
    except OSError:
        return None
    for folder in folders[:RUNS]:
        found = _rate(RunFolder(folder), model, kind)
        if found:
            return found
    return None


def _rate(run: RunFolder, model: str, kind: str) -> float | None:
    try:
        named = run.config()["train"]["model_name"]
    except (ConfigError, LookupError, TypeError):  # a merge, or a folder that somebody damaged
        return None
    if named != model:
        return None
    events = list(read_events(run.events_file))
    device = next((event.get("device") for event in events if event.get("what") == "model"), None)
    figures = next((event for event in reversed(events) if event.get("what") == "figures"), {})
    tokens, seconds = figures.get("tokens"), figures.get("train_seconds")
    return tokens / seconds if tokens and seconds and str(device).startswith(kind) else None
