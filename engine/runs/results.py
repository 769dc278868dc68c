"""What a run left, and what to call to use it: for the last screen, the last lines and whoever writes them down."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import ProblemError
from engine.merge.companions import MODELFILE
from engine.runs.control import size_of
from engine.runs.figures import Figures, told, training_run
from engine.runs.folder import RunFolder
from engine.runs.serving import LONGEST, QUESTION, Model, Way, typed, ways
from engine.storage import write_whole

LINES_FILE = "serving.md"


@dataclass(frozen=True)
class Made:
    """what: adapter, model, merged, predictions or answers. path: as typed in the results' root; bytes: None where it
    is gone."""

    what: str
    path: str
    bytes: int | None


@dataclass(frozen=True)
class Merging:
    """What merges an adapter that was not merged: a config and what is set over it. command: the same, typed."""

    file: Path
    overrides: tuple[str, ...]
    cwd: Path
    command: str


@dataclass(frozen=True)
class Results:
    """Commands are ready for a shell in the folder `root`. serve: none where there is no model.

    merging: None where there is nothing to merge. log: path; board: folder for TensorBoard, None where nothing was
    written there.
    """

    root: Path
    made: tuple[Made, ...]
    figures: Figures
    serve: tuple[Way, ...]
    talk: str
    repeat: tuple[str, ...]
    merging: Merging | None
    log: str | None
    board: str | None

    @property
    def usable(self) -> bool:
        """Whether there is a model to talk to."""
        return any(made.what in ("adapter", "model", "merged") for made in self.made)


def results(run: RunFolder | None, config: Path, outputs: Mapping[str, str]) -> Results:
    """Of a run, or of a config that had been run to its end before (`run` None). outputs: {adapter, merged, …: path}.

    Reads the run's config, its events and the sizes of what it made; what cannot be read only leaves things out.
    """
    given, outputs = _given(run, config), dict(outputs)
    repeat = [_replay(given)]
    if given.adapter and "adapter" not in outputs and Path(given.adapter).is_dir():
        outputs = {"adapter": given.adapter, **outputs}  # of a run that only merged
    adapter = outputs.get("adapter")
    trained = training_run(Path(adapter)) if adapter and not given.trains else None
    if trained and run:  # it is the first half of what was done
        before = _given(trained, config)
        given = replace(given, file=before.file, overrides=before.overrides, questions=before.questions)
        given = replace(given, board=before.board)
        repeat = [_replay(before), *repeat]
    elif trained:  # what was started now found everything done
        given = _given(trained, config)
        repeat = [_replay(given)]
    target = given.file.parent if given.file.name == "config.yaml" else given.file
    return Results(
        root=given.root,
        made=tuple(Made(what, typed(Path(path), given.root), _size(Path(path))) for what, path in outputs.items()),
        figures=told(run, trained),
        serve=ways(_model(given, outputs)),
        talk=shlex.join(["sft-wizard", "chat", typed(target, given.root) if target != given.root else "."]),
        repeat=tuple(repeat),
        merging=_merging(given, outputs),
        log=typed(run.log_file, given.root) if run else None,
        board=typed(given.board, given.root) if given.board and given.board.is_dir() else None,
    )


def keep(found: Results, text: str) -> Path:
    """Write `text`, the lines that a front end made of these results, beside the project, and return where.

    One that was written before is replaced; any other file of the name is left alone and a numbered one written.
    """
    head = f"<!-- written by sft-wizard: {LINES_FILE} -->\n"
    name = Path(LINES_FILE)
    number = 1
    target = found.root / name
    while target.exists() and not _ours(target, head):
        number += 1
        target = found.root / f"{name.stem}-{number}{name.suffix}"
    write_whole(target, head + text, mode=0o644)
    return target


def _ours(file: Path, head: str) -> bool:
    return file.is_file() and file.read_bytes()[: len(head)] == head.encode()


@dataclass(frozen=True)
class _Given:
    """What a run was started with: the config's file and what was set beside it, the folder that relative paths start
    in, the base's folder, the adapter that was merged or trained, what was asked, and the curves."""

    file: Path
    root: Path
    name: str = ""
    overrides: Sequence[str] = ()
    base: str | None = None
    adapter: str | None = None
    questions: Sequence[str] = ()
    trains: bool = False
    board: Path | None = None


def _given(run: RunFolder | None, file: Path) -> _Given:
    if run is None:
        return _Given(file, file.parent, file.parent.name)
    try:
        config = run.config()
        file = Path(config["file"])
        train, merge = config.get("train", {}), config.get("merge", {})
        settings = train.get("config", {})
        folder = settings.get("logging_dir")
        project = file.name == "config.yaml"
        root = file.parent.parent if file.parent.name == "configs" else file.parent
        return _Given(
            file,
            root if project or file.parent.name == "configs" else Path(config.get("cwd", root)),
            str(config.get("name", file.stem)),
            config.get("overrides", []),
            _base(train) or _base(merge),
            merge.get("adapter"),
            config.get("answers", {}).get("questions", ()),
            bool(train),
            Path(folder) / run.id if folder else run.tensorboard,
        )
    except (OSError, ProblemError, AttributeError, KeyError, TypeError):
        return _Given(run.config_file, run.path, run.id)


def _base(step: Mapping[str, Any]) -> str | None:
    """The base as any tool finds it: by its name where it lies in the hub's cache, else by its folder."""
    path = step.get("model_path")
    return step.get("model_name", path) if path and "snapshots" in Path(path).parts else path


def _replay(given: _Given) -> str:
    overrides = [part for override in given.overrides for part in ("--set", override)]
    return shlex.join(["sft-wizard", "--replay", typed(given.file, given.root), *overrides])


def _model(given: _Given, outputs: Mapping[str, str]) -> Model:
    whole, adapter = outputs.get("merged") or outputs.get("model"), outputs.get("adapter")
    question = next((text for text in given.questions if len(text) <= LONGEST), QUESTION)
    if whole:
        modelfile = (Path(whole) / MODELFILE).is_file()
        return Model(given.name, typed(Path(whole), given.root), modelfile=modelfile, question=question)
    if not adapter:
        return Model(given.name)
    template = Path(adapter) / "chat_template.jinja"
    return Model(
        given.name,
        adapter=typed(Path(adapter), given.root),
        base=typed(Path(given.base), given.root) if given.base else None,
        rank=_rank(Path(adapter)),
        chat_template=typed(template, given.root) if template.is_file() else None,
        question=question,
    )


def _merging(given: _Given, outputs: Mapping[str, str]) -> Merging | None:
    """By the project's own merge config, else by the training config with a folder to export to."""
    adapter = outputs.get("adapter")
    if not adapter or outputs.get("merged") or not (Path(adapter) / "adapter_config.json").is_file():
        return None
    own = given.root / "configs" / "merge_config.yaml"
    if own.is_file():
        return Merging(own, (), given.root, shlex.join(["sft-wizard", "export", typed(own, given.root)]))
    if not given.trains or given.file.name == "config.yaml":
        return None
    overrides = (*given.overrides, f"export_dir={adapter.rstrip('/')}-merged")
    words = ["sft-wizard", "export", typed(given.file, given.root)]
    words += [part for override in overrides for part in ("--set", override)]
    return Merging(given.file, overrides, given.root, shlex.join(words))


def _rank(adapter: Path) -> int:
    try:
        raw = json.loads((adapter / "adapter_config.json").read_bytes())
        return max([int(raw["r"]), *map(int, raw.get("rank_pattern", {}).values())])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0


def _size(path: Path) -> int | None:
    """Bytes of a file, or of the files in a folder: checkpoints lie in folders of their own."""
    try:
        return sum(size_of(part) for part in path.iterdir() if part.is_file()) if path.is_dir() else size_of(path)
    except OSError:
        return None
