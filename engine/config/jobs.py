"""From a file to a job: which of the three kinds it is, overrides, and absolute paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.config.checking import Checked, check
from engine.config.fates import fates
from engine.config.reading import Document, parse_value, read_document
from engine.config.schema import (
    DataSource,
    MergeConfig,
    TrainConfig,
    WizardConfig,
    fields,
    is_path,
    names,
)
from engine.errors import ConfigError, Problem

Kind = Literal["project", "train", "merge"]


@dataclass(frozen=True)
class Job:
    """What is to be done, with every path absolute. `root`: the project's folder, None for a bare file.

    `runs`: where run folders go.
    """

    name: str
    kind: Kind
    file: Path
    root: Path | None
    runs: Path
    data: DataSource | None = None
    train: Checked[TrainConfig] | None = None
    merge: Checked[MergeConfig] | None = None
    questions: list[str] = field(default_factory=list)
    require_gpu: bool = False
    notes: tuple[Problem, ...] = ()

    @property
    def secrets(self) -> dict[str, str]:
        """Secrets found in the files, for the worker's environment."""
        return {**(self.train.secrets if self.train else {}), **(self.merge.secrets if self.merge else {})}


def load_job(file: Path, overrides: Sequence[str] = (), cwd: Path | None = None) -> Job:
    """Read any of the three kinds of file. Raises ConfigError with every problem, each with its line."""
    cwd = (cwd or Path.cwd()).absolute()
    document, parts = _with_overrides(read_document(file), overrides)
    kind = kind_of(document)
    if kind == "project":
        return _project(document, parts, file.absolute())
    struct: type[msgspec.Struct] = TrainConfig if kind == "train" else MergeConfig
    checked: Checked[Any] = check(document, struct)
    root, notes = _anchor(checked.config, file.absolute(), cwd)
    resolved = absolute(checked, root or cwd)
    if isinstance(resolved.config, TrainConfig):
        runs = root / "logs" if root else Path(resolved.config.output_dir) / "logs"
        name = Path(resolved.config.output_dir).name
        return Job(name, kind, file.absolute(), root, runs, train=resolved, notes=(*checked.notes, *notes))
    out = Path(resolved.config.export_dir)
    runs = root / "logs" if root else out.parent / "logs"
    return Job(out.name, kind, file.absolute(), root, runs, merge=resolved, notes=(*checked.notes, *notes))


def kind_of(document: Document) -> Kind:
    """By its keys: config.yaml has train, merge or data; a merge config export_dir; a train config stage or dataset."""
    values = document.values
    if "export_dir" in values:
        return "merge"
    if "stage" in values or ("dataset" in values and "output_dir" in values):
        return "train"
    if values.keys() & {"train", "merge", "data", "project"}:
        return "project"
    raise ConfigError(Problem("kind_unknown", file=document.file))


def absolute(checked: Checked[Any], base: Path) -> Checked[Any]:
    """Path keys against `base`. A model name stays a name unless such a folder exists."""
    config = checked.config
    struct: type[msgspec.Struct] = type(config)
    changes: dict[str, Any] = {}
    for name in fields(struct):
        value = getattr(config, name)
        if not is_path(struct, name) or isinstance(value, bool) or not value:
            continue
        if name == "model_name_or_path":
            folder = base / Path(value).expanduser()
            changes[name] = str(folder.resolve()) if folder.is_dir() else value
        elif name == "adapter_name_or_path":
            changes[name] = [str((base / Path(part).expanduser()).absolute()) for part in names(value)]
        else:
            changes[name] = str((base / Path(value).expanduser()).absolute())
    return Checked(msgspec.structs.replace(config, **changes), checked.passed, checked.secrets, checked.notes)


def _anchor(config: TrainConfig | MergeConfig, file: Path, cwd: Path) -> tuple[Path | None, list[Problem]]:
    """The project's root where the file lies in its configs/ and the working directory holds nothing of it."""
    root = file.parent.parent
    if file.parent.name != "configs" or not ((root / "config.yaml").exists() or (root / "data").is_dir()):
        return None, []
    wanted = [config.dataset_dir] if isinstance(config, TrainConfig) else names(config.adapter_name_or_path)
    if cwd == root or not all((cwd / path).exists() for path in wanted):
        said = [] if cwd == root else [Problem("path_at_root", {"root": str(root), "cwd": str(cwd)}, severity="note")]
        return root, said
    return None, []


def _project(document: Document, parts: Overrides, file: Path) -> Job:
    root = file.parent
    problems: list[Problem] = []
    config: WizardConfig | None = None
    own: tuple[Problem, ...] = ()
    train: Checked[TrainConfig] | None = None
    merge: Checked[MergeConfig] | None = None
    try:
        checked = check(document, WizardConfig)
        config, own = checked.config, checked.notes
        if config.train is None and config.merge is None and config.data is None:
            problems.append(Problem("nothing_to_do", file=document.file))
    except ConfigError as error:
        problems += error.problems
    try:
        train = _part(document, parts, "train", TrainConfig, root)
    except ConfigError as error:
        problems += error.problems
    try:
        merge = _part(document, parts, "merge", MergeConfig, root)
    except ConfigError as error:
        problems += error.problems
    if problems or config is None:
        raise ConfigError(*problems)
    data = config.data
    if data:
        data = msgspec.structs.replace(data, source=str((root / Path(data.source).expanduser()).absolute()))
    notes = (*own, *(train.notes if train else ()), *(merge.notes if merge else ()))
    return Job(
        config.project or root.name,
        "project",
        file,
        root,
        root / "logs",
        data=data,
        train=train,
        merge=merge,
        questions=config.questions,
        require_gpu=config.require_gpu,
        notes=notes,
    )


def _part(document: Document, overrides: Overrides, name: str, struct: type[Any], root: Path) -> Checked[Any] | None:
    """`train:` or `merge:` of config.yaml, a mapping or the path of a file, with its overrides."""
    value = document.values.get(name)
    given = overrides.get(name, {})
    if value is None:
        if given:
            raise ConfigError(Problem("override_unknown", key=f"{name}.{next(iter(given))}", file="--set"))
        return None
    if isinstance(value, str):
        part = read_document(root / Path(value).expanduser())
    elif isinstance(value, dict):
        part = document.inner(name)
    else:
        return None  # its type is reported with config.yaml's own problems
    document = Document(part.file, {**part.values, **given}, part.lines, frozenset(given))
    return absolute(check(document, struct), root)


Overrides = dict[str, dict[str, Any]]


def _secrets() -> set[str]:
    """Keys whose value is a secret, under each of their names."""
    secret = {name for name, fate in fates().items() if fate.secret}
    return secret | {name for name, fate in fates().items() if fate.new in secret}


def _with_overrides(document: Document, overrides: Sequence[str]) -> tuple[Document, Overrides]:
    """`key=value` over the file, and what `train.key=value` and `merge.key=value` say of config.yaml's parts."""
    values, parts = {**document.values}, Overrides()
    lines, overridden = dict(document.lines), set[str]()
    kind = kind_of(document) if overrides else "train"
    for given in overrides:
        name, equals, text = given.partition("=")
        name = name.strip().lstrip("-")
        if not equals or not name:
            raise ConfigError(Problem("override_form", {"given": given}))
        if name.rpartition(".")[2] in _secrets():
            raise ConfigError(Problem("secret_on_command_line", key=name))
        value = parse_value(text)
        part, dot, inner = name.partition(".")
        if kind != "project" or (not dot and part in fields(WizardConfig)):
            values[name] = value
            overridden.add(name)
        elif dot and part in ("train", "merge"):
            parts.setdefault(part, {})[inner] = value
        elif dot and part == "data":
            if not isinstance(values.get("data", {}), dict):
                continue  # its type is reported with the file's own problems
            values["data"] = {**values.get("data", {}), inner: value}
            lines.pop(("data", inner), None)
        else:
            raise ConfigError(Problem("override_unknown", key=name))
    return Document(document.file, values, lines, frozenset(overridden)), parts
