"""What the merge of a job needs of memory and disk, before the adapter is there too."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from engine.config.jobs import Job
from engine.config.schema import MergeConfig
from engine.errors import ConfigError, Problem
from engine.hardware import Host
from engine.merge.forecast import forecast_all
from engine.models import find_model

_SUMS = 4  # bytes of an adapter's element while it is merged: in 32 bits


@dataclass(frozen=True)
class MergeNeed:
    """Bytes. memory: at the peak, imports included; disk: while it is written; written: of the merged model."""

    memory: int
    memory_free: int
    disk: int
    disk_free: int
    written: int

    @property
    def verdict(self) -> Literal["fits", "no"]:
        """Whether both are there."""
        return "fits" if self.memory <= self.memory_free and self.disk <= self.disk_free else "no"

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "verdict": self.verdict}


def merge_need(job: Job, trained: int, host: Host) -> tuple[MergeNeed | None, tuple[Problem, ...]]:
    """(the need, or None where it is not known, and why). trained: parameters of an adapter that is yet to be made."""
    assert job.merge is not None
    config: MergeConfig = job.merge.config
    try:
        base = find_model(config.model_name_or_path, config.model_revision, config.cache_dir)
        if base is None:
            params = {"name": config.model_name_or_path}
            return None, (Problem("merge_not_known", params, "model_name_or_path", severity="note"),)
        adapters = [Path(adapter) for adapter in config.adapters]
        there = [adapter for adapter in adapters if (adapter / "adapter_config.json").is_file()]
        expected = forecast_all(config, base.path, there)
    except ConfigError as error:
        return None, error.problems
    memory = expected.memory_peak + (0 if len(there) == len(adapters) else _SUMS * trained)
    need = MergeNeed(memory, host.free, expected.disk_needed, expected.disk_free, expected.bytes_out)
    return need, ()
