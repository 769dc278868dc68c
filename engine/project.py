"""The project tree: a plan of file writes, shown before anything is written, then one apply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from engine.builtin_model import HUB_NAME, is_builtin
from engine.config.schema import DataSource, MergeConfig, TrainConfig, WizardConfig
from engine.config.writing import commented
from engine.errors import ConfigError, EnvironmentProblem, Problem
from engine.memory.presets import Preset
from engine.outputs import move_aside
from engine.runs.folder import slugify
from engine.samples import Sample, sample
from engine.storage import write_whole

if TYPE_CHECKING:
    from engine.data.transform import ConvertReport

FileState = Literal["new", "same", "added to", "in the way"]


@dataclass(frozen=True)
class ProjectAnswers:
    """Everything that decides a project. One of `sample`, `source` (the user's own file) and `registered` is given.

    fill: what stands in a sample's gaps. registered: folder of a dataset_info.json and the name of a set in it, or of
    several with commas. merge: whether a merged model is made.
    """

    folder: Path
    model: str
    sample: str | None = None
    fill: Mapping[str, str] = field(default_factory=dict)
    source: Path | None = None
    registered: tuple[Path, str] | None = None
    fmt: Literal["alpaca", "sharegpt"] = "alpaca"
    mapping: Mapping[str, str] = field(default_factory=dict)
    instruction: str | None = None
    system: str | None = None
    max_samples: int | None = None
    test_split: float = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    questions: tuple[str, ...] = ()
    merge: bool = True

    @property
    def model_name(self) -> str:
        """The model as the configs name it: LLaMA-Factory does not know our name of the built-in one."""
        return HUB_NAME if is_builtin(self.model) else self.model

    @property
    def short_model(self) -> str:
        """The last part of its name, for folders."""
        return self.model_name.rstrip("/").rpartition("/")[2]

    @property
    def dataset(self) -> str:
        """Name of the dataset in dataset_info.json."""
        if self.sample:
            return sample(self.sample).dataset
        if self.registered:
            return self.registered[1]
        return f"{slugify(self.source.stem)}_train" if self.source else "data_train"

    def data_source(self) -> DataSource | None:
        """The `data:` part of config.yaml, where the user brings a file."""
        if self.source is None:
            return None
        return DataSource(
            source=str(self.source.absolute()),
            name=slugify(self.source.stem),
            format=self.fmt,
            map=dict(self.mapping),
            instruction=self.instruction,
            system=self.system,
            max_samples=self.max_samples,
            test_split=self.test_split,
        )


@dataclass(frozen=True)
class PlannedFile:
    """One file of the tree, relative to the project's folder, and how it stands to what is there."""

    path: str
    content: str
    state: FileState


def plan_project(answers: ProjectAnswers, preset: Preset) -> list[PlannedFile]:
    """Every file but the converted data of the user's own file, which `apply_project` makes."""
    chosen = sample(answers.sample) if answers.sample else None
    name = answers.folder.absolute().name
    questions = answers.questions or (chosen.questions if chosen else ())
    contents = {
        "config.yaml": _wizard_yaml(answers, name, questions),
        "configs/train_config.yaml": _train_yaml(answers, preset),
        "configs/merge_config.yaml": _merge_yaml(answers, name),
        "run_pipeline.py": _shipped("run_pipeline.py"),
        "README.md": _shipped("README.md").replace("{name}", name),
    }
    if chosen:
        contents[f"data/{chosen.dataset}.json"] = chosen.rows(answers.fill)
        contents["data/dataset_info.json"] = _dataset_info(answers.folder, chosen)
    return [PlannedFile(path, text, _state(answers.folder / path, text)) for path, text in contents.items()]


def apply_project(
    answers: ProjectAnswers, plan: list[PlannedFile], *, force: bool = False
) -> tuple[list[Path], ConvertReport | None]:
    """Write the plan; returns the files and what became of the user's rows.

    Raises ConfigError where a different file is in the way; with `force` that one is moved aside first. Raises
    EnvironmentProblem where there can be no such folder.
    """
    blocked = [planned.path for planned in plan if planned.state == "in the way"]
    if blocked and not force:
        raise ConfigError(Problem("exists_different", {"path": str(answers.folder), "files": blocked}))
    try:
        for folder in ("configs", "data", "saves", "logs", "models"):
            (answers.folder / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        told = {"folder": str(answers.folder), "reason": error.strerror or str(error)}
        raise EnvironmentProblem(Problem("folder_not_made", told)) from error
    from engine.data.source import convert_source

    written = []
    source = answers.data_source()
    report = convert_source(source, answers.folder / "data", overwrite=force) if source else None
    if report:
        written += list(report.files)
    for planned in plan:
        target = answers.folder / planned.path
        if planned.state == "in the way":
            move_aside(target)
        if planned.state != "same":
            write_whole(target, planned.content, mode=0o644)
        written.append(target)
    return written, report


def train_values(answers: ProjectAnswers, preset: Preset) -> dict[str, Any]:
    """What the train config says: the project's own keys, then the preset's, the sample's and the user's settings."""
    folder = answers.registered[0] if answers.registered else None
    values: dict[str, Any] = {
        "model_name_or_path": answers.model_name,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_target": "all",
        "dataset_dir": str(folder.absolute()) if folder else "data",
        "dataset": answers.dataset,
        "output_dir": f"saves/{answers.short_model}-lora",
        "logging_steps": 1,
        "save_steps": 100,
        "save_total_limit": 3,
        "plot_loss": True,
        "overwrite_output_dir": False,
        "report_to": "tensorboard",
        "learning_rate": 2e-4,
        "num_train_epochs": 3.0,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.1,
        "seed": 42,
        **preset.settings,
        **(sample(answers.sample).settings if answers.sample else {}),
        **answers.settings,
    }
    values.setdefault("lora_alpha", 2 * values.get("lora_rank", preset.setting("lora_rank")))
    return values


def _train_yaml(answers: ProjectAnswers, preset: Preset) -> str:
    title = (
        "Training. The keys are LLaMA-Factory's: llamafactory-cli train runs this file as well.",
        f"Memory preset {preset.title}. {preset.reason}".rstrip(),
        "Paths start at the project's folder.",
    )
    return commented(TrainConfig, train_values(answers, preset), title)


def _merge_yaml(answers: ProjectAnswers, name: str) -> str:
    values = {
        "model_name_or_path": answers.model_name,
        "adapter_name_or_path": f"saves/{answers.short_model}-lora",
        "finetuning_type": "lora",
        "export_dir": f"models/{name}",
        "export_size": 5,
        "export_device": "cpu",
    }
    return commented(MergeConfig, values, ("Merging: adapter and base model become one model that any tool serves.",))


def _wizard_yaml(answers: ProjectAnswers, name: str, questions: tuple[str, ...]) -> str:
    values: dict[str, Any] = {"version": 1, "project": name}
    source = answers.data_source()
    if source:
        values["data"] = {name: value for name, value in msgspec.to_builtins(source).items() if value}
    values["train"] = "configs/train_config.yaml"
    if answers.merge:
        values["merge"] = "configs/merge_config.yaml"
    if questions:
        values["questions"] = list(questions)
    return commented(WizardConfig, values, ("The whole job: sft-wizard --replay config.yaml",))


def _dataset_info(folder: Path, chosen: Sample) -> str:
    """dataset_info.json with the sample's entry, keeping what is there. Raises DataError where that cannot be read."""
    from engine.data.registry import INFO_FILE, load_registry

    there = (folder / "data" / INFO_FILE).exists()
    entries = dict(load_registry(folder / "data").entries) if there else {}
    entries[chosen.dataset] = {"file_name": f"{chosen.dataset}.json", "formatting": chosen.formatting}
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


@lru_cache
def _shipped(name: str) -> str:
    return (files("templates") / "project" / name).read_text(encoding="utf-8")


def _state(path: Path, text: str) -> FileState:
    if not path.exists():
        return "new"
    if not path.is_file():
        return "in the way"
    if path.name == "dataset_info.json":  # entries are added to it, none is lost
        return "same" if path.read_text(encoding="utf-8") == text else "added to"
    return "same" if path.read_text(encoding="utf-8", errors="replace") == text else "in the way"
