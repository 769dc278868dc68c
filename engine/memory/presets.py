"""Presets: settings to begin with, those that ship with the tool and the user's own, and the one to recommend.

A shipped preset is a file of templates/presets, a user's one a file of the same form in `preset_folder()`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import platformdirs

from engine.config.checking import check
from engine.config.fates import fates
from engine.config.key import key
from engine.config.reading import Document, parse_document, read_document
from engine.config.schema import TrainConfig, fields, is_path
from engine.errors import ConfigError, Problem
from engine.hardware import GIB, Gpu, Hardware
from engine.memory.job import Estimate
from engine.storage import APP
from engine.text import Phrase, one_line, verbatim

Shipped = Literal["llamafactory guide", "sage", "ours"]
Origin = Literal["llamafactory guide", "sage", "ours", "yours"]

_GROUPS: tuple[Origin, ...] = ("yours", "sage")  # listed after those that memory may choose, in this order
_SUFFIXES = (".yaml", ".yml")
_LENGTH = 200  # characters of a title or reason
# What a project decides: a preset that brought it along would train on something else, or somewhere else.
_OF_THE_PROJECT = {"stage", "do_train", "do_predict", "dataset", "eval_dataset", "run_name"}
# What every train config has, so that the rules between keys can be checked on a preset's settings.
FRAME: dict[str, Any] = {"model_name_or_path": "model", "output_dir": "saves", "dataset": "data"}
_LARGEST_GB = 100_000
_GB = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:g|gb|gib)?\s*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Preset:
    """Train keys and values for an amount of free GPU memory, and why.

    memory_gb: GiB of free memory that it is meant for; 0 for a machine without a GPU. automatic: whether memory alone
    may choose it; SAGE's and the user's own are chosen by hand, unless a user's file stands in the place of such a one.
    """

    name: str
    title: str
    reason: str
    memory_gb: float
    settings: Mapping[str, Any]
    origin: Origin = "ours"
    automatic: bool = True

    @property
    def heading(self) -> Phrase:
        """The title as a phrase: ours is translated, a user's is shown as it is."""
        return verbatim(self.title) if self.origin == "yours" else Phrase(self.title)

    @property
    def why(self) -> Phrase:
        """The reason as a phrase; empty where a user gave none."""
        return verbatim(self.reason) if self.origin == "yours" else Phrase(self.reason)

    @property
    def on_gpu(self) -> bool:
        """Whether it is for a GPU at all."""
        return not self.settings.get("use_cpu")

    def setting(self, name: str) -> Any:
        """What a train config of this preset has for a key of ours: the preset's value, else the key's default."""
        return self.settings[name] if name in self.settings else fields(TrainConfig)[name].default


@dataclass(frozen=True)
class Recommendation:
    """A preset and why. fits: whether the job fits with it; None where only the memory was looked at."""

    preset: Preset
    reason: Phrase
    fits: bool | None = None


Fits = Callable[[Preset], Estimate | None]


class _File(msgspec.Struct, kw_only=True):
    """What a preset's file holds."""

    title: Annotated[str, key("What it is called on the screen; without it, the name of the file.")] = ""
    reason: Annotated[str, key("Why these settings, in a sentence.")] = ""
    origin: Annotated[Shipped, key("Where the settings come from. In your own folder it is always you.")] = "ours"
    memory_gb: Annotated[float, key("GB of free GPU memory that it is meant for; 0: for a CPU.", ge=0, le=100_000)]
    settings: Annotated[dict[str, Any], key("Keys of a train config and their values.")]


def preset_folder() -> Path:
    """Where users put their own: ~/.config/sft-wizard/presets, or below XDG_CONFIG_HOME. It may not exist."""
    return Path(platformdirs.user_config_path(APP), "presets")


def presets() -> tuple[Preset, ...]:
    """All that can be used: those that memory may choose by the memory they are for, the user's own, SAGE's."""
    return load_presets()[0]


def find_preset(name: str) -> Preset:
    """The one of that name. Raises ConfigError: preset_unknown, or what is wrong with the user's file of that name."""
    found, problems = load_presets()
    for preset in found:
        if preset.name == name:
            return preset
    wrong = [problem for problem in problems if problem.file and Path(problem.file).stem == name]
    unknown = Problem("preset_unknown", {"name": name, "known": [preset.name for preset in found]})
    raise ConfigError(*(wrong or [unknown]))


def load_presets(folder: Path | None = None) -> tuple[tuple[Preset, ...], list[Problem]]:
    """All presets, and what is wrong or worth knowing about the user's own, with file and line.

    A file that cannot be used is left out and told; every other one works. folder: default `preset_folder()`.
    """
    folder = preset_folder() if folder is None else folder
    try:
        seen = tuple(sorted(_stamp(path) for path in folder.iterdir() if _is_preset(path)))
    except FileNotFoundError:
        return _listed(shipped_presets()), []
    except OSError as error:
        problem = Problem("file_unreadable", {"path": str(folder), "reason": error.strerror or str(error)})
        return _listed(shipped_presets()), [problem]
    found, problems = _load(folder, seen)
    return found, list(problems)


def recommend(hardware: Hardware, fits: Fits | None = None, choice: Sequence[Preset] | None = None) -> Recommendation:
    """Where to begin on the GPU with most free memory; only presets that memory may choose are looked at.

    Without `fits` the largest preset whose memory is free. With it, that one or the first smaller one whose job fits,
    where none does the smallest for a GPU; a GPU too small for any preset still gets the smallest if the job fits.

    fits: what the job needs with a preset's settings, None where it does not fit. choice: default `presets()`.
    """
    found = [preset for preset in (presets() if choice is None else choice) if preset.automatic]
    on_gpu = [preset for preset in found if preset.on_gpu and preset.memory_gb > 0]
    on_cpu = next((preset for preset in found if preset not in on_gpu), found[0])
    best = hardware.best()
    if best is None:
        return Recommendation(on_cpu, Phrase("no GPU can be used here"))
    free = Phrase("{free} GB are free", {"free": f"{best.free / GIB:.0f}"})
    if best.name:
        free = Phrase("{free} GB are free on {gpu}", {**free.values, "gpu": best.name})
    steps = [preset for preset in on_gpu if preset.memory_gb * GIB <= best.free]
    if fits is None and not steps:
        return Recommendation(on_cpu, Phrase("{free}: too little for the presets of GPUs", {"free": free}))
    if fits is None:
        return Recommendation(steps[-1], free)
    steps = steps or on_gpu[:1] or [on_cpu]
    for preset in reversed(steps):
        need = fits(preset)
        if need is None:
            continue
        spare = f"{100 * (best.free - need.needed) / best.free:.0f}"
        reason = Phrase("{free}: the job fits with {spare} % to spare", {"free": free, "spare": spare})
        if preset is not steps[-1]:
            values = {"reason": reason, "larger": steps[-1].heading}
            reason = Phrase("{reason}; with the preset {larger} it would not", values)
        return Recommendation(preset, reason, fits=True)
    reason = Phrase("{free}: too little for this job with any preset", {"free": free})
    return Recommendation(steps[0], reason, fits=False)


def imagined(given: str) -> Hardware:
    """A machine with one GPU on which so many GB (GiB) are free, for `--gpu-memory`: 16, 11.5, 24GB.

    Raises ConfigError: gpu_memory_wrong.
    """
    match = _GB.fullmatch(given)
    memory = float(match.group(1)) if match else 0.0
    if not 0 < memory <= _LARGEST_GB:
        raise ConfigError(Problem("gpu_memory_wrong", {"given": given, "largest": _LARGEST_GB}))
    size = int(memory * GIB)
    return Hardware((Gpu(index=0, uuid="", name="", total=size, free=size),))


@cache
def shipped_presets() -> tuple[Preset, ...]:
    """Those of templates/presets, in the order of `presets`."""
    found = []
    for entry in (files("templates") / "presets").iterdir():
        if entry.name.endswith(".yaml"):
            preset, notes = _preset(entry.name[:-5], parse_document(entry.read_text(encoding="utf-8"), entry.name))
            if notes:
                raise ConfigError(*notes)
            found.append(preset)
    return _listed(found)


def _listed(found: list[Preset] | tuple[Preset, ...]) -> tuple[Preset, ...]:
    def place(preset: Preset) -> tuple[int, bool, float, str]:
        group = 0 if preset.automatic else 1 + _GROUPS.index(preset.origin)
        return group, preset.on_gpu, preset.memory_gb, preset.name

    return tuple(sorted(found, key=place))


def _is_preset(path: Path) -> bool:
    return path.suffix in _SUFFIXES and not path.name.startswith(".")


def _stamp(path: Path) -> tuple[str, int, int]:
    """What changes when a file does."""
    try:
        about = path.stat()
    except OSError:  # a link to nowhere: reading it says so
        return path.name, 0, 0
    return path.name, about.st_mtime_ns, about.st_size


@lru_cache(maxsize=8)
def _load(folder: Path, seen: tuple[tuple[str, int, int], ...]) -> tuple[tuple[Preset, ...], tuple[Problem, ...]]:
    """`load_presets` of a folder whose files look like `seen`."""
    found = {preset.name: preset for preset in shipped_presets()}
    problems: list[Problem] = []
    own: dict[str, str] = {}
    for file_name, *_ in seen:
        path = folder / file_name
        name = path.stem
        if name in own:
            problems.append(Problem("preset_twice", {"name": name, "other": own[name]}, file=str(path)))
            continue
        own[name] = file_name
        try:
            if path.exists() and not path.is_file() and not path.is_dir():  # opening a pipe would wait for its writer
                raise ConfigError(Problem("preset_no_file", file=str(path)))
            preset, notes = _preset(name, read_document(path))
        except ConfigError as error:
            problems += error.problems
            continue
        problems += notes
        replaced = found.get(name)
        if replaced:
            problems.append(Problem("preset_replaced", {"name": name}, file=str(path), severity="note"))
        found[name] = replace(preset, origin="yours", automatic=bool(replaced and replaced.automatic))
    return _listed(list(found.values())), tuple(problems)


def _preset(name: str, document: Document) -> tuple[Preset, list[Problem]]:
    """A file as a preset, and notes on it. Raises ConfigError with every problem of the file."""
    problems: list[Problem] = []
    settings: dict[str, Any] = {}
    try:
        checked = check(document, _File)
    except ConfigError as error:
        problems += error.problems
    if isinstance(document.values.get("settings"), dict):
        try:
            settings, notes = _settings(document.inner("settings"))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    about = checked.config
    title = one_line(about.title, _LENGTH) or name
    reason = one_line(about.reason, _LENGTH)
    automatic = about.origin != "sage"
    preset = Preset(name, title, reason, about.memory_gb, settings, about.origin, automatic)
    return preset, [*checked.notes, *notes]


def _settings(given: Document) -> tuple[dict[str, Any], list[Problem]]:
    """Settings under today's names. Raises ConfigError with whatever makes them none for a preset."""
    strangers = [given.problem("preset_key", name) for name in given.values if not _is_setting(name)]
    values = {name: value for name, value in given.values.items() if _is_setting(name)}
    frame = Document(given.file, {**FRAME, **values}, given.lines)
    try:
        checked = check(frame, TrainConfig)
    except ConfigError as error:
        raise ConfigError(*strangers, *error.problems) from None
    elsewhere = [note for note in checked.notes if note.code == "key_other_command"]
    if strangers or elsewhere:
        raise ConfigError(*strangers, *(replace(note, severity="error") for note in elsewhere))
    now = {str(note.key): str(note.params["new"]) for note in checked.notes if note.code == "key_alias"}
    known: dict[str, Any] = {**msgspec.structs.asdict(checked.config), **checked.passed}
    names = [now.get(name, name) for name, value in values.items() if value is not None]
    return {name: known[name] for name in names if name in known}, list(checked.notes)


def _is_setting(name: str) -> bool:
    """Whether a preset may set a key: not what is the project's, no path, no secret."""
    if name in _OF_THE_PROJECT or (name in fields(TrainConfig) and is_path(TrainConfig, name)):
        return False
    return not (name in fates() and fates()[name].secret)
