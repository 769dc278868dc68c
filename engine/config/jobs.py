"""From a file to a job: which of the three kinds it is, overrides, and absolute paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from engine.config.checking import Checked, check
from engine.config.finding import Kind, kind_of, locate
from engine.config.merging import merges_training, of_training
from engine.config.overrides import Overrides, with_overrides
from engine.config.reading import Document, read_document
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

HUBS = ("ONLINE", "REMOTE:")  # dataset_dir: no folder, the sets are on a hub


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
    """Read any of the three kinds of file, or the one that a folder means; a training config with an export_dir over it
    merges what it trained. Raises ConfigError with every problem, each with its line."""
    cwd = (cwd or Path.cwd()).absolute()
    file = locate(file)
    document, parts = with_overrides(read_document(file), overrides)
    kind = kind_of(document)
    if kind == "project":
        return _project(document, parts, file.absolute())
    if kind == "chat":
        raise ConfigError(Problem("kind_chat", {"path": str(file)}, file=document.file))
    extra: list[Problem] = []
    if kind == "merge" and merges_training(document):
        document, note = of_training(document)
        extra = [note]
    struct: type[msgspec.Struct] = TrainConfig if kind == "train" else MergeConfig
    checked: Checked[Any] = check(document, struct)
    root, notes = _anchor(checked.config, file.absolute(), cwd)
    resolved = absolute(checked, root or cwd)
    notes = [*extra, *checked.notes, *notes]
    if isinstance(resolved.config, TrainConfig):
        _require_data(resolved.config, document)
        runs = root / "logs" if root else Path(resolved.config.output_dir) / "logs"
        name = Path(resolved.config.output_dir).name
        return Job(name, kind, file.absolute(), root, runs, train=resolved, notes=tuple(notes))
    out = Path(resolved.config.export_dir)
    runs = root / "logs" if root else out.parent / "logs"
    return Job(out.name, kind, file.absolute(), root, runs, merge=resolved, notes=tuple(notes))


def absolute(checked: Checked[Any], base: Path) -> Checked[Any]:
    """Path keys against `base`. A model name stays a name unless such a folder exists."""
    config = checked.config
    struct: type[msgspec.Struct] = type(config)
    changes: dict[str, Any] = {}
    for name in fields(struct):
        value = getattr(config, name)
        if not is_path(struct, name) or isinstance(value, bool) or not value:
            continue
        if name == "dataset_dir" and value.startswith(HUBS):
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
    resolved = absolute(check(document, struct), root)
    if isinstance(resolved.config, TrainConfig):
        _require_data(resolved.config, document)
    return resolved


def _require_data(config: TrainConfig, document: Document) -> None:
    """Without a dataset, tokenised data must be there already."""
    folder = Path(config.tokenized_path or "")
    if config.do_train and not names(config.dataset) and not (folder.is_dir() and any(folder.iterdir())):
        raise ConfigError(document.problem("tokenized_missing", "tokenized_path", path=str(folder)))
