"""The answers given so far and everything that follows from them. Front ends hold one Wizard and draw what it says."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.builtin_model import ALIAS
from engine.config.checking import check
from engine.config.reading import parse_document, parse_value
from engine.config.schema import MergeConfig, TrainConfig
from engine.data.shapes import TARGETS
from engine.errors import ConfigError, Problem, ProblemError
from engine.hardware import Hardware, Host
from engine.memory.presets import Preset, load_presets, presets
from engine.memory.recommended import Language
from engine.memory.shape import ModelShape
from engine.project import PlannedFile, ProjectAnswers, plan_project
from engine.runs.folder import slugify
from engine.text import Phrase, verbatim
from engine.wizard import device
from engine.wizard.asks.data import FILE, FOUND, REGISTERED, SAMPLE, chosen_data, fill
from engine.wizard.asks.model import FOLDER, HUB, confirmed, model_requests
from engine.wizard.asks.settings import together
from engine.wizard.columns import mapping_problems
from engine.wizard.inspection import ruin
from engine.wizard.questions import Default, Question, Request
from engine.wizard.table import table

HARDWARE = Request("hardware")
MODELS = Request("models")
Voice = Literal["system", "user", "assistant", "observation", "function"]


@dataclass(frozen=True)
class Machine:
    """What `Request("hardware")` is answered with. quantisable: whether bitsandbytes is installed."""

    hardware: Hardware
    host: Host
    quantisable: bool = True


@dataclass(frozen=True)
class Answer:
    """One line of the review. `changed`: a person chose it and it is not the default."""

    question: Question
    shown: Phrase
    changed: bool


@dataclass(frozen=True)
class Tree:
    """What Start writes, and what is wrong or worth knowing with it."""

    files: tuple[PlannedFile, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]


class Wizard:
    """`answers` holds only what a person gave, `facts` what was found out; everything else is computed.

    cwd: where it was started; relative paths start there. started: whether a run was started from these answers.
    language: the person's, which decides on the models to begin with. reckoned: figures that follow from answers and
    facts (memory.py), so that none is reckoned twice. confirmed: models that were
    chosen with Enter: the hub may be asked for them.
    """

    def __init__(self, cwd: Path, answers: Mapping[str, Any] | None = None):
        self.cwd = cwd.absolute()
        self.answers: dict[str, Any] = {name: value for name, value in (answers or {}).items() if name in table()}
        self.facts: dict[Request, Any] = {}
        self.refusals: dict[Request, tuple[Problem, ...]] = {}
        self.started = False
        self.language: Language = "en"
        self.reckoned: dict[Any, Any] = {}
        self.confirmed: set[str] = set()
        self._folders: dict[str, str] = {}

    # Questions and answers

    def questions(self, step: str, *, advanced: bool = False) -> list[Question]:
        """Those of a step that apply now; with `advanced` the rare ones as well, after the others."""
        asked = [question for question in table().values() if question.step == step and question.applies(self)]
        plain = [question for question in asked if not question.advanced(self)]
        return plain + ([question for question in asked if question.advanced(self)] if advanced else [])

    def default(self, name: str) -> Default:
        """The recommended value and why."""
        return table()[name].default(self)

    def value(self, name: str) -> Any:
        """What was answered, else the default."""
        return self.answers[name] if name in self.answers else self.default(name).value

    def shown(self, name: str, *, default: bool = False) -> Phrase:
        """The value in words, or the default in its place."""
        value = self.default(name).value if default else self.value(name)
        question = table()[name]
        for choice in question.choices(self):
            if choice.value == value:
                return choice.label
        if value in (None, ""):
            return question.empty
        if question.kind == "switch":
            return Phrase("yes") if value else Phrase("no")
        return verbatim(value)

    def changed(self, name: str) -> bool:
        """Whether a person chose something else than the default."""
        return name in self.answers and self.answers[name] != self.default(name).value

    def answer(self, name: str, given: Any) -> list[Problem]:
        """Take an answer, typed text or a value; one with problems is not taken. Text is read as YAML reads it."""
        question = table()[name]
        value, problems = _read(self, question, given)
        if not problems:
            problems = question.check(self, value)
        if not problems:
            source, folder = self.source(), self.folder()
            self.answers[name] = value
            if self.source() != source:  # its columns are others
                for target in TARGETS:
                    self.reset(f"map_{target}")
            if name == "project" and self.folder() != folder:  # what is there is not from a start of ours
                self.started = False
        return problems

    def reset(self, name: str) -> None:
        """Back to the default."""
        self.answers.pop(name, None)

    def speak(self, language: str) -> None:
        """The person's language is this one from now on."""
        self.language = "zh" if language == "zh" else "en"

    # Facts

    def needs(self, step: str) -> list[Request]:
        """What has to be found out for the step as it is answered now. Ask again after every answer."""
        wanted = [HARDWARE]  # most defaults follow from it
        if step == "hardware":
            wanted += [self._checks_request()]
        elif step == "model":
            wanted += [MODELS, *confirmed(self, self._model_requests())]
        elif step == "data":
            wanted += [Request("datasets", str(self.cwd)), *self._data_requests()]
        elif step in ("preset", "settings"):
            wanted += self._model_requests()
        elif step == "review":
            wanted += [*self._model_requests(), *self._data_requests()]
        return [request for request in wanted if request not in self.facts and request not in self.refusals]

    def learn(self, request: Request, found: Any) -> None:
        """A request was answered."""
        self.facts[request] = found
        self.reckoned.clear()

    def refuse(self, request: Request, problems: tuple[Problem, ...]) -> None:
        """A request failed: its problems are those of the step that asked for it."""
        self.refusals[request] = problems

    def forget_refusals(self) -> None:
        """Ask again for what failed, such as a model that was copied into place meanwhile."""
        self.refusals.clear()

    def found(self, what: str) -> Any:
        """The current answer to a request of this kind; None while it is not known."""
        ways: dict[str, Callable[[], list[Request]]] = {
            "hardware": lambda: [HARDWARE],
            "checks": lambda: [self._checks_request()],
            "models": lambda: [MODELS],
            "datasets": lambda: [Request("datasets", str(self.cwd))],
            "model": lambda: self._model_requests()[::-1],
            "columns": self._columns_requests,
            "data": lambda: self._data_requests()[::-1],
        }
        requests = ways[what]()
        return next((self.facts[request] for request in requests if request in self.facts), None)

    def problems(self, step: str, tree: Tree | None = None) -> list[Problem]:
        """What keeps the step from being left. `tree`: that of now, for the review, where it is known already."""
        found = []
        for question in self.questions(step, advanced=True):
            if question.id in self.answers or not question.optional:
                found += question.check(self, self.value(question.id))
        requests = {"model": self._model_requests, "data": self._data_requests}.get(step, list)()
        found += [problem for request in requests for problem in self.refusals.get(request, ())]
        if step == "data":
            found += mapping_problems(self)
        if step == "settings" and not found:
            found += together(self)
        if step == "review":
            found += [problem for name in ("model", "data", "settings") for problem in self.problems(name)]
            found += [] if found else ruin(self)
            found += (tree or self.tree()).problems if not found else ()
        return found

    def notes(self, step: str) -> list[Problem]:
        """What is worth knowing at a step and keeps nobody from leaving it."""
        if step == "hardware":
            return device.gone(self)
        return load_presets()[1] if step == "preset" else []

    def about(self, step: str) -> list[Phrase]:
        """Lines of facts for a step."""
        from engine.wizard import facts

        return facts.about(self, step)

    def preview(self) -> list[tuple[Voice, str]]:
        """The first sample as a conversation: who says what."""
        found = self.found("data")
        return [(voice, text) for voice, text in found["preview"]] if found else []

    def path(self, text: str) -> Path:
        """A path as typed: ~ and relative to where the wizard was started."""
        try:
            return (self.cwd / Path(text.strip()).expanduser()).absolute()
        except RuntimeError:  # ~somebody who has no home here
            return (self.cwd / text.strip()).absolute()

    # What follows from the answers

    def model(self) -> str:
        """The chosen model: smollm2-135m, a folder or a hub name; empty while it is not given."""
        chosen = self.value("model")
        if chosen == FOLDER:
            given = str(self.value("model_folder") or "").strip()
            return str(self.path(given)) if given else ""
        return str(self.value("model_hub") or "").strip() if chosen == HUB else str(chosen)

    def source(self) -> Path | None:
        """The user's own data file."""
        chosen = str(self.value("data"))
        if chosen.startswith(FOUND):
            return self.path(chosen.removeprefix(FOUND))
        given = str(self.value("data_file") or "").strip() if chosen == FILE else ""
        return self.path(given) if given else None

    def columns(self) -> list[str]:
        """Of the user's own file, as far as it was read."""
        found = self.found("columns")
        return list(found["columns"]) if found and self.source() else []

    def examples(self) -> dict[str, str]:
        """{column: the beginning of its first value}."""
        found = self.found("columns")
        return dict(found["examples"]) if found and self.source() else {}

    def recognised(self) -> dict[str, str] | None:
        """{target: column} by the columns' names; None where they say nothing."""
        found = self.found("columns")
        return dict(found["mapping"]) if found and self.source() and found["mapping"] else None

    def mapping(self) -> dict[str, str]:
        """{target: column} as answered; empty where the columns' own names are used."""
        columns = self.columns()
        chosen = {target: self.answers[f"map_{target}"] for target in TARGETS if f"map_{target}" in self.answers}
        # The file may have been written anew since.
        chosen = {target: column for target, column in chosen.items() if column is None or column in columns}
        if not chosen:
            return {}
        mapped = {**(self.recognised() or {}), **chosen}
        return {target: mapped[target] for target in TARGETS if mapped.get(target)}

    def preset(self) -> Preset:
        """The chosen one."""
        chosen = self.value("preset")
        return next((preset for preset in presets() if preset.name == chosen), presets()[0])

    def recommended(self) -> Default:
        """The preset for the model and the free memory, and why."""
        from engine.wizard import memory

        if self.found("hardware") is None:
            return Default(presets()[0].name)
        found = memory.recommended(self)
        return Default(found.preset.name, found.reason)

    def shape(self) -> ModelShape | None:
        """The sizes of the chosen model; None where they are not known."""
        found = self.found("model")
        if not found or not found.get("shape"):
            return None
        key = ("shape", self.model())
        if key not in self.reckoned:
            self.reckoned[key] = msgspec.convert(found["shape"], ModelShape)
        shape: ModelShape = self.reckoned[key]
        return shape

    def project(self, *, without: str = "", replace: bool | None = None) -> ProjectAnswers:
        """The answers as the engine's project takes them.

        without: leave out one training key, to find its default. replace: whether files that differ make room, where
        it is not the answer's to say.
        """
        chosen = chosen_data(self)
        folder, _, name = chosen.removeprefix(REGISTERED).rpartition(":")
        settings = {
            key.removeprefix("train."): value
            for key, value in self.answers.items()
            if key.startswith("train.") and key != f"train.{without}"
        }
        if self.replaces() if replace is None else replace:
            settings["overwrite_output_dir"] = True
        return ProjectAnswers(
            folder=self.folder(),
            model=self.model() or ALIAS,
            sample=chosen.removeprefix(SAMPLE) if chosen.startswith(SAMPLE) else None,
            fill=fill(self),
            source=self.source(),
            registered=(Path(folder), name) if chosen.startswith(REGISTERED) else None,
            fmt=self.value("data_format"),
            mapping=self.mapping(),
            instruction=self.value("instruction"),
            system=self.value("system"),
            max_samples=self.value("max_rows"),
            settings=settings,
            merge=bool(self.value("merge")),
        )

    def fresh_folder(self) -> str:
        """A folder that is not there yet, named after the data; the same for as long as the wizard is open."""
        source = self.source()
        chosen = chosen_data(self)
        base = slugify(source.stem if source else chosen.rpartition(":")[2]) + "-lora"
        if base not in self._folders:
            names = (base if number == 1 else f"{base}-{number}" for number in itertools.count(1))
            self._folders[base] = next(name for name in names if not (self.cwd / name).exists())
        return self._folders[base]

    def in_the_way(self) -> bool:
        """Whether files that Start would write are there already and differ."""
        try:
            planned = plan_project(self.project(replace=False), self.preset())
        except ProblemError:
            return False
        return any(file.state == "in the way" for file in planned)

    def replaces(self) -> bool:
        """Whether files that differ make room for those of these answers."""
        return bool(self.in_the_way() and self.value("replace"))

    def tree(self) -> Tree:
        """The files that Start writes, checked as `--replay` checks them."""
        try:
            files = plan_project(self.project(), self.preset())
        except ProblemError as error:
            return Tree((), error.problems, ())
        problems: list[Problem] = []
        notes: list[Problem] = []
        structs: dict[str, type[msgspec.Struct]] = {
            "configs/train_config.yaml": TrainConfig,
            "configs/merge_config.yaml": MergeConfig,
        }
        for file in files:
            if file.path in structs:
                try:
                    notes += check(parse_document(file.content, file.path), structs[file.path]).notes
                except ProblemError as error:
                    problems += error.problems
        blocked = [file.path for file in files if file.state == "in the way"]
        if blocked and not self.replaces():
            problems.append(Problem("files_in_the_way", {"folder": str(self.value("project")), "files": blocked}))
        return Tree(tuple(files), tuple(problems), tuple(notes))

    def review(self) -> list[Answer]:
        """Every answer, and of the rare questions those that were changed; first what stands in the way of Start."""
        found = []
        for step in ("review", "hardware", "model", "data", "preset", "settings"):
            plain = self.questions(step)
            for question in self.questions(step, advanced=True):
                if question in plain or self.changed(question.id):
                    found.append(Answer(question, self.shown(question.id), self.changed(question.id)))
        return found

    def command(self) -> str:
        """What does the same without the wizard."""
        command = f"sft-wizard --replay {self.shell_path(self.folder() / 'config.yaml')}"
        return f"CUDA_VISIBLE_DEVICES={shlex.quote(gpu)} {command}" if (gpu := device.pinned(self)) else command

    def folder(self) -> Path:
        """The project's."""
        return self.path(str(self.value("project")))

    def shell_path(self, path: Path) -> str:
        """As it is typed where the wizard was started."""
        return shlex.quote(str(path.relative_to(self.cwd) if path.is_relative_to(self.cwd) else path))

    def begin(self) -> ProjectAnswers:
        """Start was chosen: the folder stays this one, and a later start may replace what this one writes."""
        answers = self.project()
        self.answers["project"] = self.value("project")
        self.started = True
        return answers

    def _checks_request(self) -> Request:
        return Request("checks", str(self.cwd))

    def _model_requests(self) -> list[Request]:
        if "model" not in self.answers and HARDWARE not in self.facts and HARDWARE not in self.refusals:
            return []  # which one is recommended follows from the machine
        return model_requests(self)

    def _columns_requests(self) -> list[Request]:
        """What the data holds, before anybody chose columns."""
        source, chosen = self.source(), chosen_data(self)
        if source is None:
            options = tuple(fill(self).items())
            return [Request("data", chosen, options)] if chosen.startswith((SAMPLE, REGISTERED)) else []
        typed = table()["data_file"]
        return (
            [] if typed.applies(self) and typed.check(self, self.value("data_file")) else [Request("data", str(source))]
        )

    def _data_requests(self) -> list[Request]:
        """The same, then what the chosen columns make of it."""
        plain = self._columns_requests()
        if not plain or not self.columns() or mapping_problems(self):
            return plain
        constants = [(name, str(self.value(name))) for name in ("instruction", "system") if self.value(name)]
        options = (*self.mapping().items(), *constants)
        return [*plain, Request("data", plain[0].subject, options)] if options else plain


def _read(wizard: Wizard, question: Question, given: Any) -> tuple[Any, list[Problem]]:
    """An answer as its kind has it: typed text is read, a value passes."""
    text = given.strip() if isinstance(given, str) else given
    if text == "" and question.kind != "switch":
        return (None if question.optional else question.default(wizard).value), []
    if question.kind == "choice":
        values = [choice.value for choice in question.choices(wizard)]
        if text in values:
            return text, []
        named = [value for value in values if value is not None and str(value) == text]
        return (named[0], []) if named else (None, [Problem("answer_not_offered", {"given": given})])
    if question.kind == "switch" and isinstance(text, str):
        word = text.lower()
        if word not in _YES | _NO:
            return None, [Problem("answer_yes_or_no", {"given": given})]
        return word in _YES, []
    if question.kind in ("integer", "number") and isinstance(text, str):
        try:
            number = parse_value(text)
        except ConfigError:  # no YAML at all
            number = text
        if isinstance(number, str) and not question.id.startswith("train."):  # its own check names what it takes
            return None, [Problem("answer_no_number", {"given": given})]
        return number, []
    return text, []


_YES = {"yes", "y", "true", "on", "1", "是"}
_NO = {"no", "n", "false", "off", "0", "否"}
