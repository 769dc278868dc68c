"""What there is to talk to: a train config, a merge config, a model folder or an adapter folder. No torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.config.jobs import load_job
from engine.config.schema import MergeConfig, TrainConfig
from engine.errors import ConfigError, Problem
from engine.models import Progress, get_model, inspect_model

CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class ChatSource:
    """`base`: folder of the weights; with an `adapter` they can be asked with and without it. `use_cpu`: no GPU."""

    base: str
    name: str
    adapter: str | None = None
    template: str | None = None
    trust_remote_code: bool = False
    use_cpu: bool = False

    @property
    def voices(self) -> tuple[str, ...]:
        """Which weights can answer."""
        return ("tuned", "base") if self.adapter else ("model",)

    def as_dict(self) -> dict[str, Any]:
        """As JSON, for the worker."""
        return asdict(self)


def find_source(given: str, progress: Progress) -> ChatSource:
    """Raises ConfigError where the path, adapter or model is not there."""
    path = Path(given).expanduser()
    if path.is_dir():
        return _folder(path.resolve(), progress)
    if not path.suffix and not path.exists():
        return ChatSource(str(get_model(given, progress).path), given)
    job = load_job(path)
    if job.train:
        train = job.train.config
        _require_adapter(Path(train.output_dir))
        base = get_model(train.model_name_or_path, progress, code=train.trust_remote_code)
        return trained_source(train, str(base.path), base.name)
    if job.merge:
        merge = job.merge.config
        if len(merge.adapters) != 1:
            return _folder(Path(merge.export_dir), progress)
        adapter = Path(merge.adapters[0])
        if not (adapter / CONFIG).exists() and (Path(merge.export_dir) / "config.json").exists():
            return _folder(Path(merge.export_dir), progress)
        _require_adapter(adapter)
        base = get_model(merge.model_name_or_path, progress, code=merge.trust_remote_code)
        return ChatSource(str(base.path), base.name, str(adapter), merge.template, merge.trust_remote_code)
    raise ConfigError(Problem("kind_unknown", file=given))


def trained_source(train: TrainConfig, base: str, name: str) -> ChatSource:
    """What a train config makes: its base (folder and name) with and without its adapter."""
    return ChatSource(base, name, train.output_dir, train.template, train.trust_remote_code, train.use_cpu)


def run_source(config: dict[str, Any]) -> ChatSource | None:
    """What a run's resolved config makes or takes: a base with an adapter; None where it has none."""
    if "answers" in config:
        return ChatSource(**config["answers"]["source"])
    if "train" in config:
        train = config["train"]
        return trained_source(msgspec.convert(train["config"], TrainConfig), train["model_path"], train["model_name"])
    if "merge" in config:
        merge = msgspec.convert(config["merge"]["config"], MergeConfig)
        base, adapter = config["merge"]["model_path"], config["merge"]["adapter"]
        if adapter is None:
            return ChatSource(merge.export_dir, merge.export_dir, template=merge.template)
        return ChatSource(base, merge.model_name_or_path, adapter, merge.template, merge.trust_remote_code)
    return None


def _require_adapter(folder: Path) -> None:
    if not (folder / CONFIG).exists():
        raise ConfigError(Problem("adapter_missing", {"path": str(folder), "missing": CONFIG}))


def _folder(path: Path, progress: Progress) -> ChatSource:
    configs = [path / name for name in ("config.yaml", "configs/train_config.yaml") if (path / name).exists()]
    if configs and not (path / "config.json").exists():
        return find_source(str(configs[0]), progress)
    if (path / CONFIG).exists():
        base_name = str(json.loads((path / CONFIG).read_text()).get("base_model_name_or_path"))
        base = get_model(base_name, progress)
        return ChatSource(str(base.path), base.name, str(path))
    return ChatSource(str(inspect_model(path).path), str(path))
