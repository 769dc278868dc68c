"""The keys of the train config, the project's folder and the merge."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, get_args

from engine.config.checking import check_value
from engine.config.rules import train_rules
from engine.config.schema import TrainConfig, fields, hints, meta
from engine.config.teaching import GROUPS, TAUGHT
from engine.config.values import expected
from engine.errors import Problem, ProblemError
from engine.project import train_values
from engine.samples import sample
from engine.text import Phrase, verbatim
from engine.wizard.ahead import vain
from engine.wizard.questions import NONE, NOTHING, Choice, Default, Kind, Question

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
            when=Phrase("Choose another one for each try that you want to keep."),
            takes=Phrase("a folder, from here or from /"),
        ),
        *(_training(name) for name in sorted(_asked(), key=_place)),
        Question(
            "merge",
            "settings",
            "switch",
            Phrase("Merge after training"),
            Phrase("Makes one model of adapter and base, which any tool can serve."),
            lambda wizard: Default(True),
            when=Phrase("Turn it off where the adapter alone is enough; it can be merged later too."),
            takes=Phrase("yes or no"),
        ),
    ]


def _asked() -> list[str]:
    return [name for name in fields(TrainConfig) if name not in _NOT_ASKED]


def _place(name: str) -> tuple[bool, int]:
    """The usual ones as they stand in the table, the others group by group."""
    taught = TAUGHT.get(name)
    if _basic(name):
        return False, 0
    return True, list(GROUPS).index(taught.group) if taught else len(GROUPS)


def _basic(name: str) -> bool:
    return _is("basic", name)


def _is(mark: str, name: str) -> bool:
    return bool((meta(TrainConfig, name).extra or {}).get(mark))


def _training(name: str) -> Question:
    """A key of the train config as a question; one for experts is asked where a project that was opened has it."""
    about = meta(TrainConfig, name)
    literals = _literals(hints(TrainConfig)[name])
    optional = fields(TrainConfig)[name].default is None
    taught = TAUGHT.get(name)
    empty = taught.empty if taught else NONE
    kind: Kind = "choice" if literals else _kind(name)

    def choices(wizard: Wizard) -> tuple[Choice, ...]:
        none = (Choice(None, empty),) if literals and optional else ()
        return (*none, *(Choice(value, verbatim(value)) for value in literals))

    return Question(
        f"train.{name}",
        "settings",
        kind,
        verbatim(name),
        Phrase(about.description or ""),
        lambda wizard: _setting(wizard, name),
        choices,
        applies=lambda wizard: not _is("expert", name) or f"train.{name}" in wizard.answers,
        advanced=lambda wizard: not _basic(name),
        check=_is_template if name == "template" else lambda wizard, value: check_value(TrainConfig, name, value),
        optional=optional,
        usual=Phrase((about.extra or {}).get("usual", "")),
        gloss=taught.gloss if taught else NOTHING,
        when=taught.when if taught else NOTHING,
        takes=Phrase("yes or no") if kind == "switch" else expected(TrainConfig, name),
        group=GROUPS[taught.group] if taught else Phrase("Of the project that was opened"),
        empty=empty,
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


def together(wizard: Wizard) -> list[Problem]:
    """What is wrong with settings that are good by themselves: the rules between keys, as `--replay` has them."""
    values = train_values(wizard.project(replace=False), wizard.preset())
    known = {name: value for name, value in values.items() if name in fields(TrainConfig)}
    passed = {name: value for name, value in values.items() if name not in known}
    found = train_rules(TrainConfig(**known), passed)
    return [Problem(one.code, one.params, one.key) for one in found if one.severity == "error"] or vain(wizard)


def _is_template(wizard: Wizard, value: Any) -> list[Problem]:
    found = check_value(TrainConfig, "template", value)
    if found or not value:
        return found
    from engine.data.template_files import load_template

    try:
        load_template(value)
    except ProblemError as error:
        return list(error.problems)
    return []


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
