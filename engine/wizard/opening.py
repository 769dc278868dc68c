"""A project on disk as answers: the reverse of engine/project.py.

What comes out is checked against what goes in: the project that the answers plan is compared with the files that are
there, key by key, and every key that would not come back is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from engine.builtin_model import ALIAS, HUB_NAME, is_builtin
from engine.config.checking import check
from engine.config.finding import kind_of, locate
from engine.config.jobs import HUBS
from engine.config.reading import Document, parse_document, read_document
from engine.config.schema import DataSource, MergeConfig, TrainConfig, WizardConfig, fields, names
from engine.data.shapes import TARGETS
from engine.errors import ConfigError, Problem
from engine.memory.presets import Preset, presets
from engine.memory.recommended import known_model
from engine.project import ProjectAnswers, plan_project, train_values
from engine.runs.folder import slugify
from engine.samples import sample, samples
from engine.wizard.asks.data import FILE, REGISTERED, SAMPLE
from engine.wizard.asks.model import FOLDER, HUB
from engine.wizard.session import Wizard
from engine.wizard.table import table

# What a project of its own decides anew: of a bare train config these say nothing about the training.
_PLACES = {"output_dir", "overwrite_output_dir", "overwrite_cache", "logging_dir", "dataset_dir", "do_train"}
_FOLLOWS = {"overwrite_output_dir"}  # set by Start where files made room


@dataclass(frozen=True)
class Opened:
    """Answers as a `Wizard` has them, and what it is worth to know of them.

    file: the config that was read. root: the project's folder; None for a bare train config, which is left as it is.
    notes: what the wizard cannot express. intact: whether nothing of that kind was found.
    """

    file: Path
    root: Path | None
    answers: dict[str, Any]
    notes: tuple[Problem, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether Start would write what is there."""
        return not self.notes

    def wizard(self, cwd: Path) -> Wizard:
        """A wizard with these answers, whose next start may replace the files that they came from."""
        wizard = Wizard(cwd, self.answers)
        if self.root is not None:
            inside = self.root.is_relative_to(wizard.cwd) and self.root != wizard.cwd
            wizard.answers["project"] = str(self.root.relative_to(wizard.cwd) if inside else self.root)
        wizard.started = self.root is not None and self.intact
        return wizard


@dataclass
class _Reading:
    """What is gathered on the way: answers, the same as the engine's project has them, keys that have no question."""

    root: Path
    document: Document
    answers: dict[str, Any] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)


def open_project(path: Path) -> Opened:
    """The project in a folder, by its config.yaml or a LLaMA-Factory train config; `path` may name the file itself.

    Reads a few small files. Raises ConfigError with what is wrong with them, and where there is none or several.
    """
    file = path
    if path.is_dir():
        file = path / "config.yaml" if (path / "config.yaml").is_file() else locate(path, "train")
    elif file.parent.name == "configs" and (file.parents[1] / "config.yaml").is_file():
        file = file.parents[1] / "config.yaml"  # a part of that one
    document = read_document(file)
    kind, file = kind_of(document), file.resolve() if ".." in file.parts else file.absolute()
    if kind == "project":
        return _ours(file, document)
    if kind == "train":
        return _bare(file, document)
    raise ConfigError(Problem("open_no_project", {"path": str(file)}))


def _ours(file: Path, document: Document) -> Opened:
    root = file.parent
    config = check(document, WizardConfig).config
    train = _part(document, "train", config.train, root)
    if train is None:
        raise ConfigError(Problem("open_no_training", {"path": str(file)}))
    merge = _part(document, "merge", config.merge, root)
    reading = _Reading(root, train)
    values = _values(train)
    reading.given |= {"folder": root, "model": _model(reading, str(values["model_name_or_path"]))}
    _data(reading, values, config.data, (root,))
    reading.answers["merge"] = reading.given["merge"] = merge is not None
    preset = _settings(reading, values, _text(train))
    planned = {
        planned.path: parse_document(planned.content, planned.path).values
        for planned in plan_project(ProjectAnswers(**reading.given), preset)
        if planned.path.endswith(".yaml")
    }
    expected = planned["configs/train_config.yaml"]
    reading.lost += _differing(values, expected, TrainConfig, root, _FOLLOWS)
    _tell(reading, reading.lost, train.file)
    if merge is not None:
        found = _differing(merge.values, planned["configs/merge_config.yaml"], MergeConfig, root, set())
        _tell(reading, found, merge.file)
    apart = {"train", "merge", "data"}
    found = _differing(document.values, planned["config.yaml"], WizardConfig, root, apart)
    found += _lost_of_data(config.data, reading.given.get("source"))
    _tell(reading, found, document.file)
    return Opened(file, root, reading.answers, tuple(reading.notes))


def _bare(file: Path, document: Document) -> Opened:
    reading = _Reading(file.parent, document)
    values = _values(document)
    model = _model(reading, str(values["model_name_or_path"]))
    reading.given |= {"folder": file.parent, "model": model}
    _data(reading, values, None, (file.parent, file.parent.parent, Path.cwd()))
    preset = _settings(reading, values, _text(document))
    expected = train_values(ProjectAnswers(**reading.given), preset)
    lost = reading.lost + _differing(values, expected, TrainConfig, file.parent, _PLACES)
    _tell(reading, lost, document.file)
    return Opened(file, None, reading.answers, tuple(reading.notes))


def _part(document: Document, name: str, given: str | dict[str, Any] | None, root: Path) -> Document | None:
    if given is None:
        return None
    return read_document(root / Path(given).expanduser()) if isinstance(given, str) else document.inner(name)


def _values(document: Document) -> dict[str, Any]:
    """The keys of a train config by their names of today, as the file writes them where that has the right type."""
    checked = check(document, TrainConfig)
    found = dict(checked.passed)
    for name, about in fields(TrainConfig).items():
        value = getattr(checked.config, name)
        if name in document.values:
            written = document.values[name]
            found[name] = written if not isinstance(written, str) or isinstance(value, str) else value
        elif not _same(value, about.default):
            found[name] = value
    return found


def _model(reading: _Reading, name: str) -> str:
    """Answers for the model; returns it as the engine's project takes it."""
    folder = reading.root / Path(name).expanduser()
    if is_builtin(name):
        reading.answers["model"] = ALIAS
        return ALIAS
    if folder.is_dir() or Path(name).expanduser().is_absolute():
        reading.answers |= {"model": FOLDER, "model_folder": str(folder)}
        return str(folder)
    reading.answers |= {"model": name} if known_model(name) else {"model": HUB, "model_hub": name}
    return name


def _data(reading: _Reading, values: Mapping[str, Any], own: DataSource | None, bases: tuple[Path, ...]) -> None:
    """Answers for the data: the user's file where it is still there, else a shipped sample, else a registered set."""
    answers, given = reading.answers, reading.given
    if own is not None:
        source = reading.root / Path(own.source).expanduser()
        if source.is_file():
            answers |= {"data": FILE, "data_file": str(source), "instruction": own.instruction, "system": own.system}
            answers["max_rows"] = own.max_samples
            if own.map:
                answers |= {f"map_{target}": own.map.get(target) for target in TARGETS}
            if own.format != ("sharegpt" if own.map.get("messages") else "alpaca"):
                answers["data_format"] = own.format
            given |= {"source": source, "fmt": own.format, "mapping": dict(own.map), "instruction": own.instruction}
            given |= {"system": own.system, "max_samples": own.max_samples}
            return
        reading.notes.append(Problem("open_data_gone", {"path": str(source)}, severity="note"))
    sets, folder = names(values.get("dataset")), _data_folder(values, bases)
    if not sets or folder is None:
        reading.notes.append(Problem("open_no_data", {"path": reading.document.file}, severity="note"))
        answers |= {"data": FILE, "data_file": ""}  # to be asked for: no other data may stand in for it
        given["sample"] = samples()[0]
        return
    for name in samples():
        fill = _fill(folder, name) if sets == [sample(name).dataset] and folder == reading.root / "data" else None
        if fill is not None:
            answers |= {"data": SAMPLE + name, **{f"fill.{gap}": text for gap, text in fill.items()}}
            given |= {"sample": name, "fill": fill}
            return
    together = ",".join(sets)
    answers["data"], given["registered"] = f"{REGISTERED}{folder}:{together}", (folder, together)


def _data_folder(values: Mapping[str, Any], bases: tuple[Path, ...]) -> Path | None:
    """Where the sets are registered. LLaMA-Factory's paths begin where it was started, which no file tells."""
    from engine.data.registry import INFO_FILE

    named = str(values.get("dataset_dir", "data"))
    if named.startswith(HUBS):
        return None
    places = [*(base / Path(named).expanduser() for base in bases), *(base / "data" for base in bases), *bases]
    return next((place.absolute() for place in places if (place / INFO_FILE).is_file()), None)


def _fill(folder: Path, name: str) -> dict[str, str] | None:
    """What the gaps of a shipped sample were filled with; None where the rows are not its own."""
    rows = folder / f"{sample(name).dataset}.json"
    return sample(name).given(rows.read_text(encoding="utf-8", errors="replace")) if rows.exists() else {}


def _settings(reading: _Reading, values: Mapping[str, Any], text: str) -> Preset:
    """Answers for the preset and for every training key that it does not set so; the preset that leaves the fewest,
    where the file does not name one."""
    plain = ProjectAnswers(**reading.given)
    fitting = [(preset, _changes(values, plain, preset)) for preset in presets()]
    preset, changed = min(fitting, key=lambda one: (f"# Memory preset {one[0].title}." not in text, len(one[1])))
    asked = {name: _typed(value) for name, value in changed.items() if f"train.{name}" in table()}
    reading.answers["preset"] = preset.name
    reading.answers |= {f"train.{name}": value for name, value in asked.items()}
    reading.given["settings"] = asked
    return preset


def _changes(values: Mapping[str, Any], plain: ProjectAnswers, preset: Preset) -> dict[str, Any]:
    base, table_ = train_values(plain, preset), fields(TrainConfig)
    changed = {name: value for name, value in values.items() if name not in base or not _same(base[name], value)}
    absent = {name: table_[name].default for name in base if name not in values and name in table_}
    changed |= {name: value for name, value in absent.items() if not _same(base[name], value)}
    changed.pop("lora_alpha", None)
    follows = train_values(replace(plain, settings=changed), preset)["lora_alpha"]  # from the rank, or the preset's
    unset = None if "lora_alpha" in preset.settings else follows  # null is twice the rank as well
    alpha = values.get("lora_alpha", unset)
    return changed if _same(alpha, follows) else {**changed, "lora_alpha": alpha}


def _typed(value: Any) -> Any:
    """A list of names as a person types it."""
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _differing(
    values: Mapping[str, Any], expected: Mapping[str, Any], struct: type[msgspec.Struct], root: Path, apart: set[str]
) -> list[str]:
    """Keys of a file that the planned one has otherwise, or not at all."""
    defaults = {name: about.default for name, about in fields(struct).items()}

    def said(source: Mapping[str, Any], name: str) -> Any:
        value = source.get(name, defaults.get(name))
        if name == "model_name_or_path" and is_builtin(str(value)):
            return HUB_NAME
        if name in ("model_name_or_path", "dataset_dir") and (root / Path(str(value)).expanduser()).is_dir():
            return str(root / Path(str(value)).expanduser())
        return names(value) if name in ("dataset", "adapter_name_or_path") else value

    keys = dict.fromkeys([*values, *expected])
    differing = [name for name in keys if name not in apart and not _same(said(values, name), said(expected, name))]
    return [name for name in differing if not (name == "lora_alpha" and values.get(name) is None)]


def _lost_of_data(own: DataSource | None, source: Path | None) -> list[str]:
    if own is None or source is None:
        return []
    lost = ["data.test_split"] if own.test_split else []
    return lost + (["data.name"] if own.name != slugify(source.stem) else [])


def _tell(reading: _Reading, lost: list[str], file: str) -> None:
    if lost:
        reading.notes.append(Problem("open_lost", {"keys": lost, "path": file}, severity="note"))


def _text(document: Document) -> str:
    """The file as it stands: its comment names the preset."""
    return Path(document.file).read_text(encoding="utf-8", errors="replace")


def _same(one: Any, other: Any) -> bool:
    """Equal, where 1 is not true."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
