"""Which of the kinds of config a file is, and the config that a folder means."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from engine.config.reading import Document, read_document
from engine.errors import ConfigError, Problem
from engine.text import Phrase

Kind = Literal["project", "train", "merge", "chat"]
LARGEST = 1 << 16  # bytes of a .json that is looked at: data lies beside configs, and is larger


def kind_of(document: Document) -> Kind:
    """By its keys. Raises ConfigError where they are of no kind."""
    values = document.values
    if "export_dir" in values:
        return "merge"
    if trains(document):
        return "train"
    if values.keys() & {"train", "merge", "data", "project"}:
        return "project"
    if "model_name_or_path" in values:
        return "chat"
    raise ConfigError(Problem("kind_unknown", file=document.file))


def trains(document: Document) -> bool:
    """Whether it has a training config's keys. LLaMA-Factory's files for chat may name a stage as well."""
    values = document.values
    work = values.keys() & {"output_dir", "dataset", "do_train", "do_predict", "tokenized_path"}
    return ("stage" in values and bool(work)) or {"dataset", "output_dir"} <= values.keys()


def locate(path: Path, wanted: Kind | None = None) -> Path:
    """The config that `path` means: itself, or where it is a folder, the one that lies inside and fits.

    A folder's config.yaml is its project, where any kind will do; else there must be one of the wanted kind, in the
    folder or its configs/. Raises ConfigError that lists them where there are several or none.
    """
    if not path.is_dir():
        return path
    if wanted in (None, "project") and (path / "config.yaml").is_file():
        return path / "config.yaml"
    found = {file: kind for file in _candidates(path) if (kind := _kind(file)) is not None}
    fitting = [file for file, kind in found.items() if wanted in (None, kind)]
    if len(fitting) == 1:
        return fitting[0]
    near = [str(file) for file in fitting or found][:6]
    code = "folder_several" if fitting else "file_is_folder"
    raise ConfigError(Problem(code, {"path": str(path), "near": near or Phrase("none")}))


def _candidates(folder: Path) -> list[Path]:
    places = (folder, folder / "configs")
    found = [file for place in places for file in sorted(place.glob("*")) if file.suffix in (".yaml", ".yml", ".json")]
    return [file for file in found if file.is_file() and (file.suffix != ".json" or file.stat().st_size <= LARGEST)]


def _kind(file: Path) -> Kind | None:
    """None for what is no config: a dataset_info.json, a file that cannot be read."""
    try:
        return kind_of(read_document(file))
    except ConfigError:
        return None
