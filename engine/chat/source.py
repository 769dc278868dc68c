"""What there is to talk to: a config that trains, merges or just names a model, or a folder of weights. No torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from engine.config.chatting import load_chat
from engine.config.finding import kind_of, locate
from engine.config.jobs import load_job
from engine.config.overrides import with_overrides
from engine.config.reading import read_document
from engine.config.schema import MergeConfig, TrainConfig, names
from engine.data.template_files import load_template
from engine.errors import ConfigError, Problem
from engine.models import Progress, get_model, inspect_model, log_in, model_of

CONFIG = "adapter_config.json"
Tell = Callable[[Problem], None]


@dataclass(frozen=True)
class ChatSource:
    """`base`: folder of the weights; with an `adapter` they can be asked with and without it. `use_cpu`: no GPU.

    `before`: adapters merged into the base first. `sampling`: how answers are drawn, where a file says so (temperature,
    top_p, …). `dtype`: number format of the weights, None for what suits the device. `dataset`: the sets that the
    adapter was trained on, for questions to begin with.
    """

    base: str
    name: str
    adapter: str | None = None
    template: str | None = None
    trust_remote_code: bool = False
    use_cpu: bool = False
    before: list[str] = field(default_factory=list)
    default_system: str | None = None
    enable_thinking: bool | None = True
    preserve_thinking: bool = False
    sampling: dict[str, Any] = field(default_factory=dict)
    dtype: str | None = None
    dataset_dir: str | None = None
    dataset: list[str] = field(default_factory=list)

    @property
    def voices(self) -> tuple[str, ...]:
        """Which weights can answer."""
        return ("tuned", "base") if self.adapter else ("model",)

    def as_dict(self) -> dict[str, Any]:
        """As JSON, for the worker."""
        return asdict(self)


def find_source(
    given: str, progress: Progress, tell: Tell = lambda note: None, overrides: Sequence[str] = ()
) -> ChatSource:
    """Raises ConfigError where the path, adapter or model is not there. `tell` hears what has no effect in a file.

    overrides: `key=value` over the file.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        return _folder(path.resolve(), progress, tell, overrides)
    if not path.suffix and not path.exists():
        _without_file(overrides)
        return ChatSource(str(get_model(given, progress).path), given)
    document, _ = with_overrides(read_document(path), overrides)
    if kind_of(document) == "chat":
        found = load_chat(document, Path.cwd())
        log_in(found.secrets)
        for note in found.notes:
            tell(note)
        inside = found.config.adapter_folder or ""
        adapters = [str(Path(name) / inside) for name in names(found.config.adapter_name_or_path)]
        return _with_adapters(found.config, adapters, progress, sampling=found.sampling, dtype=found.dtype)
    job = load_job(path, overrides)
    log_in(job.secrets)
    if job.train:
        train = job.train.config
        if train.finetuning_type == "lora":
            _require_adapter(Path(train.output_dir))
            base = model_of(train, progress)
            return trained_source(train, str(base.path), base.name)
        return trained_source(train, str(inspect_model(Path(train.output_dir)).path), train.output_dir)
    if job.merge:
        merge = job.merge.config
        there = all((Path(adapter) / CONFIG).exists() for adapter in merge.adapters)
        if not (merge.adapters and there) and (Path(merge.export_dir) / "config.json").exists():
            return _folder(Path(merge.export_dir), progress, tell)
        return _with_adapters(merge, merge.adapters, progress)
    raise ConfigError(Problem("kind_unknown", file=given))


def _with_adapters(
    config: TrainConfig | MergeConfig, adapters: list[str], progress: Progress, **more: Any
) -> ChatSource:
    """The base of a config that is no training, with adapters on it: all but the last are merged into it."""
    load_template(config.template)  # one that cannot be had is the file's mistake, found before anything is loaded
    for adapter in adapters:
        _require_adapter(Path(adapter))
    base = model_of(config, progress)
    if isinstance(config, TrainConfig):
        more |= {"use_cpu": config.use_cpu, **_thinking(config)}
    return ChatSource(
        str(base.path),
        base.name,
        adapters[-1] if adapters else None,
        config.template,
        config.trust_remote_code,
        before=adapters[:-1],
        default_system=config.default_system,
        **more,
    )


def trained_source(train: TrainConfig, base: str, name: str) -> ChatSource:
    """What a train config makes: its base (folder and name) with and without its adapter, or the trained model itself.

    Adapters that training merged into the base are merged here too.
    """
    lora = train.finetuning_type == "lora"
    given = [str(Path(one) / (train.adapter_folder or "")) for one in names(train.adapter_name_or_path)]
    before = (given if train.create_new_adapter else given[:-1]) if lora else []
    return ChatSource(
        base if lora else train.output_dir,
        name,
        train.output_dir if lora else None,
        train.template,
        train.trust_remote_code,
        train.use_cpu,
        before=before,
        default_system=train.default_system,
        dataset_dir=train.dataset_dir,
        dataset=names(train.dataset),
        **_thinking(train),
    )


def _thinking(config: TrainConfig) -> dict[str, Any]:
    return {"enable_thinking": config.enable_thinking, "preserve_thinking": config.preserve_thinking}


def run_source(config: dict[str, Any]) -> ChatSource | None:
    """What a run's resolved config makes or takes: a base with an adapter; None where it has none."""
    if "answers" in config:
        found = ChatSource(**config["answers"]["source"])
        trained = config.get("train", {}).get("config", {})  # runs of earlier versions do not name their data there
        return (
            found
            if found.dataset
            else replace(found, dataset_dir=trained.get("dataset_dir"), dataset=names(trained.get("dataset")))
        )
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


def _without_file(overrides: Sequence[str]) -> None:
    if overrides:
        raise ConfigError(Problem("set_without_file", {"given": overrides[0]}))


def _require_adapter(folder: Path) -> None:
    if not (folder / CONFIG).exists():
        raise ConfigError(Problem("adapter_missing", {"path": str(folder), "missing": CONFIG}))


def _folder(path: Path, progress: Progress, tell: Tell, overrides: Sequence[str] = ()) -> ChatSource:
    configs = [path / name for name in ("config.yaml", "configs/train_config.yaml") if (path / name).exists()]
    weights = (path / "config.json").exists()
    if configs and not weights:
        return find_source(str(configs[0]), progress, tell, overrides)
    if weights or (path / CONFIG).exists():
        _without_file(overrides)
    if (path / CONFIG).exists():
        base_name = str(json.loads((path / CONFIG).read_text()).get("base_model_name_or_path"))
        base = get_model(base_name, progress)
        return ChatSource(str(base.path), base.name, str(path))
    if not weights and any(path.glob("*.y*ml")):
        return find_source(str(locate(path)), progress, tell, overrides)
    return ChatSource(str(inspect_model(path).path), str(path))
