"""The keys of the train config, the project's folder and the merge."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, get_args

from engine.config.checking import check_value
from engine.config.schema import TrainConfig, fields, hints, meta
from engine.errors import Problem
from engine.project import sample, train_values
from engine.text import Phrase, verbatim
from engine.wizard.questions import Choice, Default, Kind, Question

if TYPE_CHECKING:
    from engine.wizard.session import Wizard

# Decided by other steps, by the project's layout, or never by a wizard.
_NOT_ASKED = {
    "model_name_or_path",
    "adapter_name_or_path",
    "trust_remote_code",
    "stage",
    "do_train",
    "finetuning_type",
    "dataset_dir",
    "dataset",
    "output_dir",
    "logging_dir",
    "overwrite_output_dir",
    "overwrite_cache",
    "resume_from_checkpoint",
    "report_to",
    "run_name",
}


def questions() -> list[Question]:
    """In the order they are asked."""
    return [
        Question(
            "project",
            "settings",
            "path",
            Phrase("Folder of the project"),
            Phrase("Configs, data, logs, adapter and merged model go there."),
            lambda wizard: Default(wizard.fresh_folder()),
            check=_is_project,
        ),
        *(_training(name) for name in sorted(_asked(), key=lambda name: not _basic(name))),
        Question(
            "merge",
            "settings",
            "switch",
            Phrase("Merge after training"),
            Phrase("Makes one model of adapter and base, which any tool can serve."),
            lambda wizard: Default(True),
        ),
    ]


def _asked() -> list[str]:
    return [name for name in fields(TrainConfig) if name not in _NOT_ASKED and not _is("expert", name)]


def _basic(name: str) -> bool:
    return _is("basic", name)


def _is(mark: str, name: str) -> bool:
    return bool((meta(TrainConfig, name).extra or {}).get(mark))


def _training(name: str) -> Question:
    """A key of the train config as a question."""
    about = meta(TrainConfig, name)
    literals = _literals(hints(TrainConfig)[name])
    optional = fields(TrainConfig)[name].default is None

    def choices(wizard: Wizard) -> tuple[Choice, ...]:
        none = (Choice(None, Phrase("(none)")),) if literals and optional else ()
        return (*none, *(Choice(value, verbatim(value)) for value in literals))

    return Question(
        f"train.{name}",
        "settings",
        "choice" if literals else _kind(name),
        verbatim(name),
        Phrase(about.description or ""),
        lambda wizard: _setting(wizard, name),
        choices,
        advanced=lambda wizard: not _basic(name),
        check=lambda wizard, value: check_value(TrainConfig, name, value),
        optional=optional,
        usual=Phrase((about.extra or {}).get("usual", "")),
    )


def _kind(name: str) -> Kind:
    types = str(hints(TrainConfig)[name]).split("msgspec")[0]
    for word, kind in (("str", "text"), ("bool", "switch"), ("float", "number"), ("int", "integer")):
        if word in types:
            return kind  # type: ignore[return-value]
    return "text"


def _literals(annotated: Any) -> tuple[Any, ...]:
    found = [annotated]
    while found:
        part = found.pop()
        if "Literal[" in str(part) and not str(part).startswith("typing.Literal"):
            found += get_args(part)
        elif str(part).startswith("typing.Literal"):
            return get_args(part)
    return ()


def _setting(wizard: Wizard, name: str) -> Default:
    answers, preset = wizard.project(without=name, replace=False), wizard.preset()  # asked often, and no file matters
    values = train_values(answers, preset)
    if name in preset.settings and values.get(name) == preset.settings[name]:
        return Default(values[name], Phrase("from the preset {title}", {"title": preset.heading}))
    if answers.sample and name in sample(answers.sample).settings:
        return Default(values[name], Phrase("suits the sample"))
    default = fields(TrainConfig)[name].default
    return Default(values.get(name, default))


def _is_project(wizard: Wizard, value: Any) -> list[Problem]:
    if not str(value or "").strip():
        return [Problem("answer_empty")]
    path = wizard.path(value)
    try:
        there = next(part for part in (path, *path.parents) if part.exists())
    except OSError as error:
        return [Problem("file_unreadable", {"path": str(path), "reason": error.strerror})]
    if not there.is_dir():
        return [Problem("output_is_file", {"folder": str(path), "file": str(there)})]
    if not os.access(there, os.W_OK | os.X_OK):
        return [Problem("not_writable", {"folder": str(path), "at": str(there)})]
    return []
